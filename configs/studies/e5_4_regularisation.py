"""E5.4: what do augmentation and regularisation each give, alone and together? LeNet-5 on 1,197 digits.

`full` asks the same of Fashion-MNIST.
"""

from ml_collections import ConfigDict

from configs import common
from configs.cnn import lenet5_digits, lenet5_fashion_mnist


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    base = lenet5_fashion_mnist if arg == "full" else lenet5_digits
    config = base.get_config("tiny" if arg == "tiny" else "")
    config.augment.shift = 0
    config.model.dropout = None
    config.optimizer.update(dict(name="adamw", weight_decay=None))
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Nothing, each alone, those that keep the label's picture together, all together; five seeds each."""
    shift, rotation, dropout = {"augment.shift": 4}, {"augment.rotation": 10.0}, {"model.dropout": 0.3}
    smoothing, decay = {"task.label_smoothing": 0.1}, {"optimizer.weight_decay": 0.1}
    mixup, cutmix, cutout = {"augment.mixup": 0.2}, {"augment.cutmix": 1.0}, {"augment.cutout": 8}
    alone: tuple[dict, ...] = ({}, shift, rotation, cutout, mixup, cutmix, dropout, decay, smoothing)
    together = (shift | rotation, shift | rotation | dropout | decay | smoothing)
    return dict(
        question="What do augmentation and regularisation each give, alone and together?",
        seeds=(0, 1, 2, 3, 4),
        points=(*alone, *together),
    )
