"""E6.2: do plain nets get worse with depth, and residual ones not? He et al. 2015, https://arxiv.org/abs/1512.03385,
section 4.2, on digits of 16 x 16 pixels. `full` asks the same of Fashion-MNIST at the paper's width.
"""

from ml_collections import ConfigDict

from configs import common
from configs.modern_cnn import resnet20_fashion_mnist


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = resnet20_fashion_mnist.get_config("tiny" if arg == "tiny" else "")
    if not arg:
        config.data.update(dict(name="digits", size=16))
        config.augment.update(dict(flip=False, shift=2))
        config.model.width = 8
        config.train.update(dict(epochs=30, log_every=20, eval_every=100, checkpoint_every=100))  # 562 steps
        config.eval.batch_size = 300
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Four depths with and without shortcuts, three seeds each."""
    return dict(
        question="Do plain nets get worse with depth, and residual ones not?",
        seeds=(0, 1, 2),
        grid={"model.depth": (8, 14) if arg == "tiny" else (8, 20, 32, 56), "model.shortcut": ("identity", "none")},
    )
