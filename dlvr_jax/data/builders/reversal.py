"""Made-up pairs: a row of random letters, and the same letters backwards, or as they are. No disk, no network.

The alignment is known (a diagonal), and a model without attention must pass the whole row through one vector, so that
its errors grow with the length.
"""

from functools import partial
from typing import Annotated, Literal

import numpy as np

from dlvr_jax.data.buckets import split_of
from dlvr_jax.data.pairs import Pair, encode, features, listed
from dlvr_jax.data.sources import SPLITS, Arrays, InMemory, Source, Spec
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DRAWN = 1024  # rows at a time
_COUNT = Between(1, 1_000_000)
_LENGTH = Between(3, 256)  # of 4 letters and length 3 there are 64 rows: each split has some of them


def reversal(
    *,
    target: Literal["reversed", "copied"] = "reversed",
    letters: Annotated[int, Between(4, 26)] = 12,
    min_length: Annotated[int, _LENGTH] = 4,
    max_length: Annotated[int, _LENGTH] = 12,
    train: Annotated[int, _COUNT] = 20_000,
    validation: Annotated[int, _COUNT] = 1_000,
    test: Annotated[int, _COUNT] = 1_000,
    path: str | None = None,
) -> Source:
    """Rows of `min_length` to `max_length` letters, all lengths alike, letters independent. No row is in two splits.

    `path` is accepted, as every data set does, and not used: there are no files.
    """
    if min_length > max_length:
        raise UserError(f"data.min_length = {min_length} is over data.max_length = {max_length}")
    tokenizer = listed(_LETTERS[:letters])
    spec = Spec(
        name="reversal",
        features=features(max_length, max_length),
        splits=dict(zip(SPLITS, (train, validation, test), strict=True)),
        tokenizer=tokenizer,
        target_tokenizer=tokenizer,
    )
    step = -1 if target == "reversed" else 1
    return InMemory(spec, partial(_arrays, spec, letters, min_length, max_length, step))


def _arrays(spec: Spec, letters: int, low: int, high: int, step: int, split: str) -> Arrays:
    rows = _rows(split, spec.splits[split], letters, low, high)
    pairs: list[Pair] = [(" ".join(row), " ".join(row[::step])) for row in rows]
    assert spec.tokenizer is not None
    return encode(pairs, spec.tokenizer, spec.tokenizer, high, high)


def _rows(split: str, count: int, letters: int, low: int, high: int) -> list[str]:
    """Rows that belong to the split, from a stream of numbers that stays the same for ever."""
    numbers = np.random.Philox(key=np.array([letters, SPLITS.index(split)], dtype=np.uint64))
    rows: list[str] = []
    while len(rows) < count:
        raw = numbers.random_raw(_DRAWN * (high + 1)).reshape(_DRAWN, high + 1) >> np.uint64(32)
        lengths = low + (raw[:, 0] % np.uint64(high - low + 1)).astype(int)
        drawn = (raw[:, 1:] % np.uint64(letters)).astype(int)
        texts = ("".join(_LETTERS[i] for i in row[:length]) for row, length in zip(drawn, lengths, strict=True))
        rows += [text for text in texts if split_of(text) == split]
    return rows[:count]
