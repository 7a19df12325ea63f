"""What a comparison leaves out: the parts of a training step that the peers do not have."""

from collections.abc import Mapping
from typing import Any

OFF: Mapping[str, bool | int | str | None] = {
    "augment.cutmix": None,
    "augment.cutout": 0,
    "augment.flip": False,
    "augment.mixup": None,
    "augment.rotation": None,
    "augment.shift": 0,
    "model.attention_dropout": None,
    "model.dropout": None,
    "model.positions": "learned",
    "task.data_noise": None,
    "task.label_dropout": None,
    "task.label_smoothing": None,
    "train.accumulate": 1,
    "train.ema": None,
    "train.length_buckets": None,
    "train.steps_per_call": 1,
}


def plain_flags(flat: Mapping[str, Any]) -> dict[str, str]:
    """Flags that switch off what a complete config asks for beyond its peer, such as augmentation, dropout, averaging.

    A rate of 0.0 is one of them: it costs time.
    """
    return {key: str(off).lower() for key, off in OFF.items() if key in flat and flat[key] != off}
