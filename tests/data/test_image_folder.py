from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlvr_jax.data.builders.image_folder import image_folder
from dlvr_jax.data.images import decode
from dlvr_jax.data.sources import SPLITS
from dlvr_jax.errors import UserError
from tests.data.pictures import picture, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 pictures in two classes, one of them deeper, and files that are no pictures."""
    root = tmp_path / "my pictures"
    for number in range(40):
        save(root / ("é" if number % 2 else "Z/deeper") / f"{number}.png", picture(number))
    (root / "Z" / "notes.txt").write_text("no picture")
    (root / "readme.png").write_text("not in a class folder")
    return root


def test_splits_follow_from_the_bytes(folder: Path) -> None:
    source = image_folder(path=str(folder), size=12)
    assert source.spec.class_names == ("Z", "é")
    assert sum(source.spec.splits.values()) == 40
    found = {split: source.records(split).read(np.arange(source.spec.splits[split])) for split in SPLITS}
    for number in range(40):
        file = next(folder.rglob(f"{number}.png"))
        bucket = int(sha256(file.read_bytes()).hexdigest(), 16) % 10
        split = {0: "test", 1: "validation"}.get(bucket, "train")
        same = (found[split]["image"] == picture(number)).all((1, 2, 3))
        assert same.sum() == 1
        assert found[split]["label"][same] == number % 2


def test_equal_files_share_a_split(folder: Path) -> None:
    for number in range(10):
        save(folder / "copies" / f"{number}.png", picture(number))
    source = image_folder(path=str(folder), size=12)
    images = {split: {image.tobytes() for image in source.arrays(split)["image"]} for split in SPLITS}
    assert not images["train"] & images["test"] and not images["train"] & images["validation"]
    assert sum(len(distinct) for distinct in images.values()) == 40


def test_both_ways_of_reading_agree(folder: Path) -> None:
    source = image_folder(path=str(folder), size=8, channels=1)
    for split in SPLITS:
        arrays = source.arrays(split)
        assert arrays["image"].shape == (source.spec.splits[split], 8, 8, 1)
        order = np.arange(len(arrays["label"]))[::-1]
        read = source.records(split).read(order)
        for name in arrays:
            np.testing.assert_array_equal(read[name], arrays[name][order])
    pixels = source.arrays("train")["image"] / 255
    assert abs(pixels.mean() - source.spec.mean[0]) < 1e-4 and abs(pixels.std() - source.spec.std[0]) < 1e-4


def test_a_changed_folder_is_another_set(folder: Path) -> None:
    before = image_folder(path=str(folder))
    assert image_folder(path=str(folder)).fingerprint() == before.fingerprint()
    save(folder / "Z" / "new.png", picture(99))
    assert image_folder(path=str(folder)).fingerprint() != before.fingerprint()
    assert image_folder(path=str(folder), size=16).fingerprint() != image_folder(path=str(folder)).fingerprint()


def test_a_damaged_picture_is_named(folder: Path) -> None:
    file = next(folder.rglob("3.png"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"3.png cannot be read as a picture") as caught:
        source = image_folder(path=str(folder))
        for split in SPLITS:
            source.arrays(split)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("")])
def test_a_folder_without_pictures_is_refused(make: object, tmp_path: Path) -> None:
    make(tmp_path / "given")  # type: ignore[operator]
    with pytest.raises(UserError, match=r"data.path = '.*given' (is no folder|holds no pictures)"):
        image_folder(path=str(tmp_path / "given"))


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "given" / "class" / "one.png", picture(0))
    with pytest.raises(UserError, match=r"its 1 pictures leave the .* split empty; add more"):
        image_folder(path=str(tmp_path / "given"))


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, :2, 3] = 255  # the left half is black, the right half cannot be seen
    file = save(tmp_path / "picture.png", pixels)
    seen = decode(file.read_bytes(), size=None, channels=1, where="here")
    np.testing.assert_array_equal(seen[..., 0], [[0, 0, 255, 255]] * 4)


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    file = save(tmp_path / "picture.png", picture(0, height=6, width=10))
    seen = decode(file.read_bytes(), size=6, channels=3, where="here")
    np.testing.assert_array_equal(seen, picture(0, height=6, width=10)[:, 2:8])


def test_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "picture.png")
    with pytest.raises(UserError, match="here has more than 8 bits a channel"):
        decode((tmp_path / "picture.png").read_bytes(), size=None, channels=1, where="here")
