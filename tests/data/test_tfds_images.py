"""A set prepared by TFDS itself, with its own encoded images, in a folder of the test."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlvr_jax.data.builders.tfds_images import tfds_images
from dlvr_jax.data.tfds_files import tfds
from dlvr_jax.errors import UserError
from tests.data.pictures import picture, save


def prepare(
    folder: Path, splits: dict[str, int], shape: tuple[int | None, ...] = (12, 12, 3), label: Any = None
) -> Path:
    """The set `little`: split sizes as given, picture number n of all has label n % 2."""
    library = tfds()
    label = library.features.ClassLabel(names=["cat", "dog"]) if label is None else label

    class Little(library.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, name-defined, call-arg]
        VERSION = library.core.Version("1.0.0")

        def _info(self) -> Any:
            features = library.features.FeaturesDict({"image": library.features.Image(shape=shape), "label": label})
            return library.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            starts = np.cumsum([0, *splits.values()])
            return {name: self._examples(int(start), splits[name]) for name, start in zip(splits, starts, strict=False)}

        def _generate_examples(self) -> Any:
            raise NotImplementedError

        def _examples(self, start: int, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
            for number in range(start, start + count):
                yield number, {"image": str(save(folder / f"{number}.png", picture(number))), "label": number % 2}

    with redirect_stdout(StringIO()):
        Little(data_dir=str(folder / "tfds"), file_format="array_record").download_and_prepare()
    return folder / "tfds"


def test_a_validation_split_comes_off_the_end_of_train(tmp_path: Path) -> None:
    path = prepare(tmp_path, {"train": 30, "test": 10})
    source = tfds_images(set="little", path=str(path))
    assert dict(source.spec.splits) == {"train": 27, "validation": 3, "test": 10}
    assert source.spec.class_names == ("cat", "dog")
    for split, first in (("train", 0), ("validation", 27), ("test", 30)):
        arrays = source.arrays(split)
        numbers = np.arange(first, first + len(arrays["label"]))
        np.testing.assert_array_equal(arrays["image"], np.stack([picture(number) for number in numbers]))
        np.testing.assert_array_equal(arrays["label"], numbers % 2)
        read = source.records(split).read(np.array([2, 0]))
        np.testing.assert_array_equal(read["image"], arrays["image"][[2, 0]])
    assert source.fingerprint() == tfds_images(set="little:1.0.0", path=str(path)).fingerprint()


def test_three_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    path = prepare(tmp_path, {"train": 4, "validation": 3, "test": 2})
    assert dict(tfds_images(set="little", path=str(path)).spec.splits) == {"train": 4, "validation": 3, "test": 2}


def test_pictures_of_many_sizes_need_a_size(tmp_path: Path) -> None:
    path = prepare(tmp_path, {"train": 10, "validation": 2}, shape=(None, None, 3))
    with pytest.raises(UserError, match=r"give data\.size"):
        tfds_images(set="little", path=str(path))
    source = tfds_images(set="little", path=str(path), size=8)
    assert source.arrays("test")["image"].shape == (2, 8, 8, 3)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    no_test = prepare(tmp_path / "no test", {"train": 10})
    with pytest.raises(UserError, match=r"has the splits \['train'\]; train, and test or validation are needed"):
        tfds_images(set="little", path=str(no_test))
    no_class = prepare(tmp_path / "no class", {"train": 10, "test": 2}, label=tfds().features.Scalar(np.int32))
    with pytest.raises(UserError, match="needs an 8-bit image with 1 or 3 channels and a label; it has image: Image"):
        tfds_images(set="little", path=str(no_class))
    few = prepare(tmp_path / "few", {"train": 5, "test": 2})
    with pytest.raises(UserError, match="5 train examples are too few to hold out a validation split"):
        tfds_images(set="little", path=str(few))


@pytest.mark.parametrize("name", ["cifar10", "no/such:1.0.0", "not a name", ""])
def test_a_set_that_is_not_prepared_says_how_to(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        tfds_images(set=name, path=str(tmp_path))
    assert f"tfds build {name} --file_format=array_record --data_dir={tmp_path}" in str(caught.value)
    assert "\n" not in str(caught.value)
