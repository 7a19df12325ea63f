"""LeNet-5 on Fashion-MNIST: LeCun et al. 1998; data by Xiao et al. 2017, https://arxiv.org/abs/1708.07747."""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.image_classification("fashion_mnist")

    config.augment.flip = True

    config.model.name = "cnn.lenet5.LeNet5"

    config.train.epochs = 10  # 55,000 images: 4,297 steps
    config.train.batch_size = 128
    config.train.log_every = 100
    config.train.eval_every = 400
    config.train.checkpoint_every = 400

    config.optimizer.update(dict(name="adam", learning_rate=2e-3, schedule="cosine", warmup_steps=200))

    config.eval.batch_size = 500
    config.eval.best = "accuracy"
    return common.variant(config, arg)
