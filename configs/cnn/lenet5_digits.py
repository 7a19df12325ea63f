"""LeNet-5 on scikit-learn's digits: LeCun et al. 1998, section II.B, doi 10.1109/5.726791.

The modern layout (ReLU, max-pooling) of the paper's network, 61,706 parameters; images resized to the paper's 32 x 32.
The data comes with scikit-learn, so this needs no network.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.image_classification("digits")

    config.augment.shift = 4  # of 32 pixels: one pixel of the original 8

    config.model.name = "cnn.lenet5.LeNet5"

    config.train.epochs = 30  # 1,197 images: 281 steps
    config.train.batch_size = 128
    config.train.log_every = 20
    config.train.eval_every = 50
    config.train.checkpoint_every = 50

    config.optimizer.update(dict(name="adam", learning_rate=2e-3, schedule="cosine", warmup_steps=20))

    config.eval.batch_size = 300
    config.eval.best = "accuracy"
    return common.variant(config, arg)
