"""Sources that rest on files: prepared once in the cache, or read where they lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dlvr_jax.data.array_files import Arrays, check, load_arrays, save_arrays
from dlvr_jax.data.cache import make_once, read_text
from dlvr_jax.data.progress import counted
from dlvr_jax.data.sources import SPLITS, Records, Spec
from dlvr_jax.data.tfds_files import open_records, write_records
from dlvr_jax.runtime import cache_folder


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
        return open_records(self.folder, split, self.spec.features)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`: written when preparing, so cheap."""
        return read_text(self.folder / "arrays" / "fingerprint.txt")

    @cached_property
    def folder(self) -> Path:
        """Where it lies in the cache, prepared if it was not yet. Laid out as TFDS does it: name, config, version."""
        return make_once(cache_folder() / "tfds" / self.spec.name / self.variant / self.version, self._prepare)

    def _prepare(self, folder: Path) -> None:
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


def _expected(spec: Spec, split: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape and type of each whole array of a split."""
    return {name: ((spec.splits[split], *feature.shape), feature.dtype) for name, feature in spec.features.items()}
