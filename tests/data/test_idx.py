"""MNIST and Fashion-MNIST: on small files of the same format, and on the real ones where they are at hand."""

import dataclasses
import gzip
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dlvr_jax.data import idx
from dlvr_jax.data.builders import fashion_mnist, mnist
from dlvr_jax.data.fetch import Missed, Origin, read_folder
from dlvr_jax.errors import UserError
from dlvr_jax.runtime import cache_folder

TRAIN, VALIDATION, TEST = 20, 5, 10
# The user's own cache, not the tests'.
REAL = (
    Path("/usr/share/datasets/fashion-mnist"),
    cache_folder() / "files" / "fashion_mnist",
)


def encoded(array: np.ndarray) -> bytes:
    lengths = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def small_files(folder: Path) -> dict[str, bytes]:
    """The four files, with random pictures; their contents by name."""
    numbers = np.random.default_rng(0)
    contents = {}
    for prefix, count in (("train", TRAIN + VALIDATION), ("t10k", TEST)):
        images = numbers.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        contents[f"{prefix}-images-idx3-ubyte.gz"] = encoded(images)
        contents[f"{prefix}-labels-idx1-ubyte.gz"] = encoded(np.arange(count, dtype=np.uint8) % 10)
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content))
    return contents


@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_small_files_become_three_splits(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = small_files(tmp_path / "given")
    digests = [sha256(content).hexdigest() for content in contents.values()]
    monkeypatch.setattr(module, "_ORIGIN", Origin("small", idx.files(*digests)))
    monkeypatch.setattr(idx, "VALIDATION", VALIDATION)
    splits = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    monkeypatch.setattr(module, "_SPEC", dataclasses.replace(module._SPEC, splits=splits))
    source = getattr(module, module.__name__.split(".")[-1])(path=str(tmp_path / "given"))
    images = idx.parse(contents["train-images-idx3-ubyte.gz"])[..., None]
    np.testing.assert_array_equal(source.arrays("train")["image"], images[:TRAIN])
    np.testing.assert_array_equal(source.arrays("validation")["image"], images[TRAIN:])
    np.testing.assert_array_equal(source.arrays("test")["label"], np.arange(TEST) % 10)
    for split, count in splits.items():
        read = source.records(split).read(np.arange(count))
        for name, array in source.arrays(split).items():
            np.testing.assert_array_equal(read[name], array)


def test_other_files_under_these_names_are_refused(tmp_path: Path) -> None:
    small_files(tmp_path / "given")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz is not the right file: SHA-256 .* ba891046"):
        mnist.mnist(path=str(tmp_path / "given"))


def test_the_real_fashion_mnist() -> None:
    """Counts, classes and statistics as published."""
    for folder in REAL:
        try:
            splits = idx.read_splits(read_folder(fashion_mnist._ORIGIN.files, folder))
            break
        except Missed:
            continue
    else:
        pytest.skip("Fashion-MNIST is not on this machine")
    assert {name: len(arrays["label"]) for name, arrays in splits.items()} == dict(fashion_mnist._SPEC.splits)
    pixels = np.concatenate([splits["train"]["image"], splits["validation"]["image"]])
    labels = np.concatenate([splits["train"]["label"], splits["validation"]["label"]])
    assert (np.bincount(labels) == 6000).all() and (np.bincount(splits["test"]["label"]) == 1000).all()
    counts = np.bincount(pixels.ravel(), minlength=256)
    levels = np.arange(256) / 255
    mean = (counts * levels).sum() / counts.sum()
    std = np.sqrt((counts * (levels - mean) ** 2).sum() / counts.sum())
    assert (round(mean, 4), round(std, 4)) == (0.2860, 0.3530)
