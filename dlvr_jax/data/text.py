"""Windows out of a text, for language models."""

from collections.abc import Mapping, Sequence

import numpy as np

from dlvr_jax.data.sources import SPLITS, Arrays, Feature
from dlvr_jax.errors import UserError

_BOUNDARIES = (0, 8, 9, 10)  # tenths: train, then validation, then test


def clean(content: bytes, where: str) -> str:
    """UTF-8 as text, without a byte order mark and carriage returns. Raises a UserError that names the wrong byte."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8: byte {error.start} is {content[error.start]:#04x}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_by_position(count: int) -> dict[str, slice]:
    """The first eight tenths are train, the ninth validation, the last test: what follows is never trained on."""
    ends = [count * tenths // 10 for tenths in _BOUNDARIES]
    return {split: slice(*ends[number : number + 2]) for number, split in enumerate(SPLITS)}


def window_count(tokens: int, length: int) -> int:
    """How many windows of `length` targets a text of so many tokens has; its first token is nobody's target."""
    return max(-(-(tokens - 1) // length), 0)


def window_features(length: int) -> Mapping[str, Feature]:
    """See `sources.Spec`: windows of a text."""
    return {"tokens": Feature((length + 1,), "int32"), "length": Feature((), "int32")}


def windows(ids: Sequence[int], length: int) -> Arrays:
    """The text cut into windows of `length` targets, in order, so that each token but the first is a target once.

    "tokens" int32 (windows, length + 1): inputs are all but the last, targets all but the first, and neighbours share
    one. "length" int32 (windows,) counts the targets; only the last window may have fewer, and zeros behind them.
    """
    count = window_count(len(ids), length)
    padded = np.zeros(count * length + 1, np.int32)
    padded[: len(ids)] = ids
    starts = np.arange(count) * length
    return {
        "tokens": padded[starts[:, None] + np.arange(length + 1)],
        "length": np.minimum(len(ids) - 1 - starts, length).astype(np.int32),
    }
