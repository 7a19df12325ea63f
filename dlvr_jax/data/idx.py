"""The IDX format of MNIST and of the sets made in its likeness."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from dlvr_jax.data.fetch import File
from dlvr_jax.data.sources import Arrays

VALIDATION = 5_000  # the last ones of the published train split


def files(train_images: str, train_labels: str, test_images: str, test_labels: str) -> tuple[File, ...]:
    """The four files under their published names, with the SHA-256 of their contents."""
    return (
        File("train-images-idx3-ubyte.gz", train_images),
        File("train-labels-idx1-ubyte.gz", train_labels),
        File("t10k-images-idx3-ubyte.gz", test_images),
        File("t10k-labels-idx1-ubyte.gz", test_labels),
    )


def read_splits(contents: Mapping[str, bytes]) -> dict[str, Arrays]:
    """Train, validation and test out of the four files."""
    train = _pairs(contents, "train")
    return {
        "train": {name: array[:-VALIDATION] for name, array in train.items()},
        "validation": {name: array[-VALIDATION:] for name, array in train.items()},
        "test": _pairs(contents, "t10k"),
    }


def parse(content: bytes) -> UInt8[np.ndarray, "..."]:
    """Byte 3 is the number of axes; their lengths follow as big-endian 32-bit integers, then the values."""
    axes = content[3]
    shape = np.frombuffer(content, ">u4", count=axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _pairs(contents: Mapping[str, bytes], prefix: str) -> Arrays:
    images = parse(contents[f"{prefix}-images-idx3-ubyte.gz"])
    labels = parse(contents[f"{prefix}-labels-idx1-ubyte.gz"])
    return {"image": images[..., None], "label": labels.astype(np.int32)}
