"""E5.3: which kind of pooling serves LeNet-5 on Fashion-MNIST best? Papers: `dlvr_jax/layers/pooling.py`.

`full` trains ten epochs instead of three.
"""

from ml_collections import ConfigDict

from configs import common
from configs.cnn import lenet5_fashion_mnist


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = lenet5_fashion_mnist.get_config("tiny" if arg == "tiny" else "")
    if not arg:
        config.train.epochs = 3  # 55,000 images: 2,579 steps
        config.train.eval_every = config.train.checkpoint_every = 400
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Six kinds, three seeds each."""
    return dict(
        question="Which kind of pooling serves LeNet-5 best?",
        seeds=(0, 1, 2),
        grid={"model.pooling": ("max", "average", "lp", "mixed", "stochastic", "strided")},
    )
