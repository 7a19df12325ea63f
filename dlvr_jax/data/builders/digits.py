"""Digits: 1,797 handwritten digits of 8 x 8 pixels, which scikit-learn brings along (UCI, Alpaydin & Kaynak 1998).

The default data set: it needs no download. Resized to the 32 x 32 of LeNet-5 (LeCun et al. 1998).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Int32, UInt8

from dlvr_jax.data.fetch import File, Origin, check_path, fetch
from dlvr_jax.data.order import permutation
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Arrays, Feature, Source, Spec
from dlvr_jax.schema import Between

_FILES = (File("digits.csv.gz", "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"),)
_HELD_OUT = 30  # examples of each class in test, and as many in validation


def digits(*, path: str | None = None, size: Annotated[int, Between(8, 256)] = 32) -> Source:
    """Images (size, size, 1) of ten classes: 1,197 train, 300 validation and 300 test, the latter two balanced.

    `path` names `digits.csv.gz` or its folder where scikit-learn's is not to be used.
    """
    spec = Spec(
        name="digits",
        features={"image": Feature((size, size, 1), "uint8"), "label": Feature((), "int32")},
        splits={"train": 1197, "validation": 300, "test": 300},
        num_classes=10,
        class_names=tuple("0123456789"),
        mean=(0.306,),
        std=(0.376 if size == 8 else 0.324,),  # bilinear resizing smooths; all larger sizes lie within 0.006
    )
    origin = Origin("digits", _FILES, folders=_package_folders())
    check_path(origin, path)
    return Prepared(spec, read=lambda: _read(fetch(origin, path)["digits.csv.gz"], size), variant=f"size_{size}")


def _read(content: bytes, size: int) -> dict[str, Arrays]:
    table = np.array([line.split(b",") for line in content.split()], dtype=np.float64)  # 64 pixels in 0..16, label
    images = _resize(np.round(table[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), size)
    labels = table[:, 64].astype(np.int32)
    return {name: {"image": images[rows], "label": labels[rows]} for name, rows in _split(labels).items()}


def _package_folders() -> tuple[Path, ...]:
    """Where scikit-learn keeps its data, found without importing it (which takes seconds)."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        return ()
    return (Path(package.origin).parent / "datasets" / "data",)


def _resize(images: UInt8[np.ndarray, "count 8 8"], size: int) -> UInt8[np.ndarray, "count size size 1"]:
    from PIL import Image

    resample = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size), resample)) for image in images])[..., None]


def _split(labels: Int32[np.ndarray, " count"]) -> dict[str, np.ndarray]:
    """Rows of each split, stratified: the same for ever (a test freezes them)."""
    shuffled = [rows[permutation(0, int(label), len(rows))] for label, rows in _rows_by_class(labels)]
    test = [rows[:_HELD_OUT] for rows in shuffled]
    validation = [rows[_HELD_OUT : 2 * _HELD_OUT] for rows in shuffled]
    train = [rows[2 * _HELD_OUT :] for rows in shuffled]
    parts = {"train": train, "validation": validation, "test": test}
    return {name: np.sort(np.concatenate(part)) for name, part in parts.items()}


def _rows_by_class(labels: Int32[np.ndarray, " count"]) -> list[tuple[int, np.ndarray]]:
    return [(int(label), np.flatnonzero(labels == label)) for label in np.unique(labels)]
