"""The animals: on a small file of the same layout, and on the real one where it is at hand."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from dlvr_jax.data.builders import animals as module
from dlvr_jax.data.fetch import Missed, read_folder
from dlvr_jax.data.sources import SPLITS
from dlvr_jax.runtime import cache_folder

REAL = cache_folder() / "files" / "animals"  # the user's own cache, not the tests'


def test_equal_pictures_are_in_one_split_whatever_stands_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COUNT", 60)
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1), dtype=np.uint8).repeat(2, axis=0)
    labels = np.arange(60) % 10
    contents = {
        module._IMAGES: b"\x80" * module._IMAGES_AT + images.tobytes() + b"end",
        module._LABELS: b"\x80" * module._LABELS_AT + labels.astype("<i8").tobytes() + b"end",
    }
    splits = module._read(contents)
    pictures = [{image.tobytes() for image in splits[split]["image"]} for split in SPLITS]
    assert [len(splits[split]["label"]) for split in SPLITS] == [2 * len(found) for found in pictures]
    assert sum(map(len, pictures)) == 30 and all(pictures)
    by_picture = {(images[row].tobytes(), label) for row, label in enumerate(labels)}
    for split in SPLITS:
        arrays = splits[split]
        assert {(i.tobytes(), int(k)) for i, k in zip(arrays["image"], arrays["label"], strict=True)} <= by_picture


def test_the_real_animals() -> None:
    try:
        splits = module._read(read_folder(module._ORIGIN.files, Path(REAL)))
    except Missed:
        pytest.skip("the animals are not on this machine")
    assert {split: len(arrays["label"]) for split, arrays in splits.items()} == dict(module._SPEC.splits)
    assert (np.bincount(np.concatenate([splits[split]["label"] for split in SPLITS])) == 1000).all()
    pixels = splits["train"]["image"] / 255
    assert (round(pixels.mean(), 3), round(pixels.std(), 3)) == (module._SPEC.mean[0], module._SPEC.std[0])
    seen = [{sha256(image.tobytes()).digest() for image in splits[split]["image"]} for split in SPLITS]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 9716
