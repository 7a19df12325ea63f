"""What a comparison leaves out: the parts of a training step that the peers do not have."""

from collections.abc import Mapping
from typing import Any

OFF = {
    "augment.cutmix": "none",
    "augment.cutout": "0",
    "augment.flip": "false",
    "augment.mixup": "none",
    "augment.rotation": "none",
    "augment.shift": "0",
    "model.attention_dropout": "none",
    "model.dropout": "none",
    "task.data_noise": "none",
    "task.label_dropout": "none",
    "task.label_smoothing": "none",
    "train.ema": "none",
}


def plain_flags(flat: Mapping[str, Any]) -> dict[str, str]:
    """Flags that switch off what a complete config asks for beyond its peer: augmentation, dropout, averaging."""
    return {key: text for key, text in OFF.items() if flat.get(key)}
