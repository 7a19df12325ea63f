"""What a data set is (its spec, known without data) and the ways to get at it: whole arrays, or records at random.

A data set is a plain function `dlvr_jax.data.builders.<name>.<name>` that returns a `Source`; its keyword parameters
are its part of the config.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.array_files import Arrays, check, digest, load_arrays, save_arrays
from dlvr_jax.data.cache import cache_folder, make_once
from dlvr_jax.data.progress import counted

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Feature:
    """The shape (of one example) and the type of one feature."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Spec:
    """What is known of a data set without its data.

    Features: "image" uint8 (height, width, channels) in 0..255 and "label" int32 (), for images with classes.
    `mean` and `std` are per channel, of the train split after division by 255.
    """

    name: str
    features: Mapping[str, Feature]
    splits: Mapping[str, int]
    num_classes: int | None
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    vocab_size: int | None = None


class Records(Protocol):
    """One split, read example by example."""

    def __len__(self) -> int: ...

    def read(self, indices: Int[np.ndarray, " count"]) -> Arrays:
        """The features of these examples, each with a leading axis of their count. Safe in threads."""
        ...


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
class Prepared:
    """A source kept in the cache, as TFDS array_record files and, beside them, as one .npy file per feature and split.

    `read` gives the arrays of every split from the original files: called once, the first time they are asked for.
    `variant` and `version` are TFDS' config and version: part of the place in the cache.
    """

    spec: Spec
    read: Callable[[], Mapping[str, Arrays]]
    variant: str = "default"
    version: str = "1.0.0"

    def arrays(self, split: str) -> Arrays:
        """See `Source.arrays`. No TFDS is needed when the cache exists."""
        return load_arrays(self.folder / "arrays", split, _expected(self.spec, split))

    def records(self, split: str) -> Records:
        """See `Source.records`."""
        from dlvr_jax.data.tfds_files import open_records

        return open_records(self.folder, split, self.spec.features)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`: written when preparing, so cheap."""
        return (self.folder / "arrays" / "fingerprint.txt").read_text()

    @cached_property
    def folder(self) -> Path:
        """Where it lies in the cache, prepared if it was not yet. Laid out as TFDS does it: name, config, version."""
        return make_once(cache_folder() / "tfds" / self.spec.name / self.variant / self.version, self._prepare)

    def _prepare(self, folder: Path) -> None:
        from dlvr_jax.data.tfds_files import write_records

        splits = self.read()
        for split in SPLITS:
            check(splits[split], _expected(self.spec, split), f"data set {self.spec.name}, {split}")
        write_records(folder, self.spec, self.variant, self.version, splits)
        save_arrays(folder / "arrays", splits)


@dataclass(frozen=True)
class ReadInPlace:
    """A source whose examples are read where they lie; whole arrays of a split are copied into the cache on demand.

    `content` is a SHA-256 of all that the examples are made from.
    """

    spec: Spec
    open: Callable[[str], Records]
    content: str

    def arrays(self, split: str) -> Arrays:
        """See `Source.arrays`."""
        folder = make_once(cache_folder() / "arrays" / self.content / split, lambda to: self._copy(to, split))
        return load_arrays(folder, split, _expected(self.spec, split))

    def records(self, split: str) -> Records:
        """See `Source.records`."""
        return self.open(split)

    def fingerprint(self) -> str:
        """SHA-256 of what the examples are made from: the same for both ways of reading them."""
        return self.content

    def _copy(self, folder: Path, split: str) -> None:
        records = self.open(split)
        whole = {name: np.empty(shape, dtype) for name, (shape, dtype) in _expected(self.spec, split).items()}
        for index in counted(f"copying {self.spec.name}, {split}", len(records)):
            for name, rows in records.read(np.array([index])).items():
                whole[name][index] = rows[0]
        save_arrays(folder, {split: whole})


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


def _expected(spec: Spec, split: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape and type of each whole array of a split."""
    return {name: ((spec.splits[split], *feature.shape), feature.dtype) for name, feature in spec.features.items()}
