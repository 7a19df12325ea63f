"""ResNet-18 on Fashion-MNIST: He et al. 2015, https://arxiv.org/abs/1512.03385, table 1, a quarter as wide.

For small pictures the stem is a 3x3 convolution without pooling: 28, 14, 7 and 4 pixels in the four stages.
701,178 parameters.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.image_classification("fashion_mnist")

    config.augment.update(dict(flip=True, shift=2))

    config.model.update(dict(name="modern_cnn.resnet.ResNet", depth=18, stem="small"))
    config.model.width = 16  # the paper's 64 has 16 times the operations

    config.train.epochs = 10  # 55,000 images: 4,297 steps
    config.train.batch_size = 128
    config.train.log_every = 100
    config.train.eval_every = 400
    config.train.checkpoint_every = 400

    config.optimizer.update(
        dict(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True, l2=5e-4, schedule="one_cycle")
    )

    config.eval.batch_size = 500
    config.eval.best = "accuracy"
    config.eval.sample_every = 800

    if arg == "tiny":
        config.model.update(dict(depth=10, width=4))
    return common.variant(config, arg)
