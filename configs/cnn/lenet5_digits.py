"""LeNet-5 on scikit-learn's digits: LeCun et al. 1998, section II.B, doi 10.1109/5.726791.

The modern layout (ReLU, max-pooling) of the paper's network, 61,706 parameters; images resized to the paper's 32 x 32.
The data comes with scikit-learn, so this needs no network. Epochs, batch size and dropout were chosen on validation.
Test accuracy 0.994 +- 0.003 (seeds 0-4) in 15 seconds.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.image_classification("digits")

    config.augment.shift = 4  # of 32 pixels: one pixel of the original 8

    config.model.update(dict(name="cnn.lenet5.LeNet5", dropout=0.2))

    config.train.epochs = 60  # 1,197 images: 1,123 steps
    config.train.batch_size = 64
    config.train.log_every = 20
    config.train.eval_every = 100
    config.train.checkpoint_every = 100

    config.optimizer.update(dict(name="adam", learning_rate=2e-3, schedule="cosine", warmup_steps=40))

    config.eval.batch_size = 300
    config.eval.best = "accuracy"
    return common.variant(config, arg)
