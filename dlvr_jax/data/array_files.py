"""Arrays by split and feature as .npy files, which are mapped and not read, so that a start costs a millisecond."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from dlvr_jax.errors import UserError

Arrays = dict[str, np.ndarray]
Expected = Mapping[str, tuple[tuple[int, ...], str]]  # shape and type by feature


def save_arrays(folder: Path, splits: Mapping[str, Arrays]) -> None:
    """Writes one .npy per split and feature, and their fingerprint."""
    folder.mkdir(exist_ok=True)
    for split, features in splits.items():
        for name, array in features.items():
            np.save(folder / f"{split}.{name}.npy", array, allow_pickle=False)
    (folder / "fingerprint.txt").write_text(digest(splits))


def load_arrays(folder: Path, split: str, expected: Expected) -> Arrays:
    """Maps what `save_arrays` wrote, read-only. A damaged file is a UserError."""
    arrays = {}
    for name in expected:
        path = folder / f"{split}.{name}.npy"
        try:
            arrays[name] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is damaged ({error}); remove {folder.parent} to prepare it again") from error
    check(arrays, expected, str(folder / split))
    return arrays


def check(arrays: Arrays, expected: Expected, where: str) -> None:
    """Raises a UserError where shapes or types are not the expected ones."""
    for name, (shape, dtype) in expected.items():
        found = arrays[name]
        if found.shape != shape or found.dtype != np.dtype(dtype):
            raise UserError(f"{where}, {name}: {found.dtype} {found.shape} found, {dtype} {shape} expected")


def digest(splits: Mapping[str, Arrays]) -> str:
    """SHA-256 (hexadecimal) of names, types, shapes and bytes of all arrays, in sorted order."""
    hasher = sha256()
    for split, features in sorted(splits.items()):
        for name, array in sorted(features.items()):
            hasher.update(f"{split} {name} {array.dtype.str} {array.shape}\n".encode())
            hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()
