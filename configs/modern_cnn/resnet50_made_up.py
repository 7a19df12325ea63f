"""ResNet-50 on made-up pictures of 224 x 224 pixels, for speed alone: He et al. 2015, https://arxiv.org/abs/1512.03385.

25,557,032 parameters at the 1,000 classes of ImageNet; arithmetic in bfloat16. Made for accelerators. For pictures of
your own set `data.name=image_folder`, `data.path` and `data.size=224`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.image_classification("made_up")

    config.data.update(dict(like="fashion_mnist", shape=(224, 224, 3), num_classes=1_000))

    config.model.update(dict(name="modern_cnn.resnet.ResNet", depth=50))

    config.train.steps = 100
    config.train.batch_size = 128
    config.train.log_every = 10
    config.train.eval_every = 100
    config.train.checkpoint_every = 100
    config.train.precision = "bfloat16"

    config.optimizer.update(dict(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True, l2=5e-5))
    config.optimizer.update(dict(schedule="cosine", warmup_steps=20))

    config.eval.batch_size = 128

    if arg == "tiny":
        config.data.update(dict(shape=(32, 32, 3), num_classes=10))
        config.model.update(dict(depth=10, width=4))
    return common.variant(config, arg)
