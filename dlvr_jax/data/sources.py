"""What a data set is (its spec, known without data) and the ways to get at it: whole arrays, or records at random.

A data set is a plain function `dlvr_jax.data.builders.<name>.<name>` that returns a `Source`; its keyword parameters
are its part of the config.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.array_files import Arrays, digest
from dlvr_jax.data.tokenizers import Tokenizer

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Feature:
    """The shape (of one example) and the type of one feature."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Spec:
    """What is known of a data set without its data.

    Names of features are the same everywhere, and the task goes by them. `T` is the greatest length; what lies at or
    beyond an example's "length" is padding, of zeros:

    - images: "image" uint8 (height, width, channels) in 0..255, "label" int32 ();
    - windows of a text: "tokens" int32 (T + 1,), of which neighbours share one, "length" int32 (), of its targets;
    - texts with a class: "tokens" int32 (T,), "length" int32 (), "label" int32 ();
    - sentences with tags: "tokens" int32 (T,), "length" int32 (), "tags" int32 (T,);
    - pairs: "source" int32 (T,) and "target" int32 (T,), the latter from begin to end, with "source_length" and
      "target_length" int32 ();
    - series: "history" float32 (T, channels), "future" float32 (horizon,), of channel 0;
    - points: "point" float32 (dimensions,), "label" int32 ().

    `mean` and `std` are per channel, of the published train split (which may be `train` and `validation`): of images
    after division by 255.
    """

    name: str
    features: Mapping[str, Feature]
    splits: Mapping[str, int]
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    tokenizer: Tokenizer | None = None  # of tokens, and of the source of pairs
    target_tokenizer: Tokenizer | None = None
    period: int | None = None  # steps of a season, where a series has one

    @property
    def vocab_size(self) -> int | None:
        """How many ids the tokenizer has."""
        return None if self.tokenizer is None else self.tokenizer.size


@runtime_checkable
class Records(Protocol):
    """One split, read example by example."""

    def __len__(self) -> int: ...

    def read(self, indices: Int[np.ndarray, " count"]) -> Arrays:
        """The features of these examples, each with a leading axis of their count. Safe in threads."""
        ...


@runtime_checkable
class Source(Protocol):
    """A data set with its three splits."""

    @property
    def spec(self) -> Spec:
        """Known without data."""
        ...

    def arrays(self, split: str) -> Arrays:
        """Every feature of a split as one array (examples, ...), read-only, mapped from the disk."""
        ...

    def records(self, split: str) -> Records:
        """The same examples in the same order, read at random."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the arrays of all splits."""
        ...


@dataclass(frozen=True)
class InMemory:
    """A source made on the fly, with no disk."""

    spec: Spec
    make: Callable[[str], Arrays]

    def arrays(self, split: str) -> Arrays:
        """See `Source.arrays`."""
        return self.make(split)

    def records(self, split: str) -> Records:
        """See `Source.records`."""
        return ArrayRecords(self.arrays(split))

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return digest({split: self.arrays(split) for split in self.spec.splits})


@dataclass(frozen=True)
class ArrayRecords:
    """Records out of arrays."""

    whole: Arrays

    def __len__(self) -> int:
        return len(next(iter(self.whole.values())))

    def read(self, indices: Int[np.ndarray, " count"]) -> Arrays:
        """See `Records.read`."""
        return {name: array[indices] for name, array in self.whole.items()}
