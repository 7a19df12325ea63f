"""What a data set is (its spec, known without data) and the ways to get at it: whole arrays, or records at random.

A data set is a plain function `dlvr_jax.data.builders.<name>.<name>` that returns a `Source`; its keyword parameters
are its part of the config.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.cache import cache_folder, make_once
from dlvr_jax.errors import UserError

Arrays = dict[str, np.ndarray]
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
        return load_arrays(self.folder / "arrays", split, self.spec)

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
        check_against_spec(splits, self.spec)
        write_records(folder, self.spec, self.variant, self.version, splits)
        save_arrays(folder / "arrays", splits)


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


def save_arrays(folder: Path, splits: Mapping[str, Arrays]) -> None:
    """Writes one .npy per split and feature, and their fingerprint."""
    folder.mkdir()
    for split, features in splits.items():
        for name, array in features.items():
            np.save(folder / f"{split}.{name}.npy", array, allow_pickle=False)
    (folder / "fingerprint.txt").write_text(digest(splits))


def load_arrays(folder: Path, split: str, spec: Spec) -> Arrays:
    """Maps what `save_arrays` wrote. A file that is damaged is a UserError."""
    arrays = {}
    for name, feature in spec.features.items():
        path = folder / f"{split}.{name}.npy"
        try:
            arrays[name] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); remove {folder.parent} to prepare it again") from error
        _check(arrays[name], (spec.splits[split], *feature.shape), feature.dtype, str(path))
    return arrays


def check_against_spec(splits: Mapping[str, Arrays], spec: Spec) -> None:
    """Raises a UserError where arrays do not have the shape and type that the spec promises."""
    for split, count in spec.splits.items():
        for name, feature in spec.features.items():
            where = f"data set {spec.name}, split {split}, feature {name}"
            _check(splits[split][name], (count, *feature.shape), feature.dtype, where)


def digest(splits: Mapping[str, Arrays]) -> str:
    """SHA-256 of names, types, shapes and bytes of all arrays, in sorted order."""
    hasher = sha256()
    for split, features in sorted(splits.items()):
        for name, array in sorted(features.items()):
            hasher.update(f"{split} {name} {array.dtype.str} {array.shape}\n".encode())
            hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()


def _check(array: np.ndarray, shape: tuple[int, ...], dtype: str, where: str) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise UserError(f"{where}: {array.dtype} {array.shape} found, {dtype} {shape} expected")
