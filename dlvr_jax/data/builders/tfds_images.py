"""Any other TFDS image set with classes, already prepared on this machine as array_record files.

Reading needs no TensorFlow; preparing one of TFDS' own sets does, which is why that is left to TFDS.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.cache import make_once, read_json
from dlvr_jax.data.images import decode, statistics
from dlvr_jax.data.prepared import ReadInPlace
from dlvr_jax.data.sources import Arrays, Feature, Records, Source, Spec
from dlvr_jax.data.tfds_files import find_prepared, open_split
from dlvr_jax.errors import UserError
from dlvr_jax.runtime import cache_folder
from dlvr_jax.schema import Between

_HELD_OUT = 5_000  # the most examples that become validation where the set has no such split


def tfds_images(*, set: str, path: str | None = None, size: Annotated[int, Between(1, 1024)] | None = None) -> Source:
    """The TFDS set by its name ("cifar10", "name/config:version"); it needs the features "image" and "label".

    `path` is TFDS' data_dir (by default its own). `size`: cut to the middle square and resize; needed where pictures
    differ in size. Without a validation split, the last 5,000 (at most a tenth) of train are it; without a test split,
    the set's validation split is the test.
    """
    builder = find_prepared(set, path)
    features = dict(builder.info.features.items())
    _check_features(features, set)
    shape = features["image"].shape if size is None else (size, size, features["image"].shape[-1])
    if None in shape:
        raise UserError(f"data.set = {set!r}: its pictures have shape {shape}; give data.size")
    parts = _parts({name: split.num_examples for name, split in builder.info.splits.items()}, set)

    def read(split: str) -> Records:
        return _Pictures(open_split(builder, parts[split].of, encoded="image"), parts[split], size, shape[-1])

    content = _content(Path(builder.data_dir), shape)
    mean, std = _statistics(content, read, shape[-1])
    spec = Spec(
        name=builder.name,
        features={"image": Feature(shape, "uint8"), "label": Feature((), "int32")},
        splits={split: part.count for split, part in parts.items()},
        num_classes=features["label"].num_classes,
        class_names=tuple(features["label"].names),
        mean=mean,
        std=std,
    )
    return ReadInPlace(spec, read, content)


@dataclass(frozen=True)
class _Part:
    """Examples `first` .. `first` + `count` - 1 of the set's split `of`."""

    of: str
    first: int
    count: int


@dataclass(frozen=True)
class _Pictures:
    """Pictures, decoded here: TFDS takes OpenCV or Pillow, whichever there is, so its bits may differ."""

    data_source: Any
    part: _Part
    size: int | None
    channels: int

    def __len__(self) -> int:
        return self.part.count

    def read(self, indices: Int[np.ndarray, " count"]) -> Arrays:
        """See `sources.Records.read`."""
        examples = self.data_source.__getitems__([self.part.first + int(index) for index in indices])
        labels = np.array([example["label"] for example in examples], np.int32)
        return {"image": np.stack([self._decoded(example["image"]) for example in examples]), "label": labels}

    def _decoded(self, image: bytes) -> np.ndarray:
        return decode(image, size=self.size, channels=self.channels, where=f"a picture of split {self.part.of}")


def _check_features(features: Mapping[str, Any], name: str) -> None:
    """Raises a UserError unless there are an 8-bit image, grey or in colour, and a class."""
    image, label = features.get("image"), features.get("label")
    fits = (
        image is not None
        and type(image).__name__ == "Image"
        and image.np_dtype == np.uint8
        and image.shape[-1] in (1, 3)
    )
    if not fits or not hasattr(label, "num_classes"):
        found = ", ".join(f"{key}: {type(feature).__name__}" for key, feature in sorted(features.items()))
        raise UserError(f"data.set = {name!r} needs an 8-bit image with 1 or 3 channels and a label; it has {found}")


def _parts(counts: Mapping[str, int], name: str) -> dict[str, _Part]:
    """Train, validation and test out of the splits that there are."""
    if "train" not in counts or not {"test", "validation"} & counts.keys():
        raise UserError(
            f"data.set = {name!r} has the splits {sorted(counts)}; train, and test or validation are needed"
        )
    test = "test" if "test" in counts else "validation"
    if {"test", "validation"} <= counts.keys():
        return {split: _Part(split, 0, counts[split]) for split in ("train", "validation", "test")}
    held_out = min(_HELD_OUT, counts["train"] // 10)
    if held_out == 0:
        raise UserError(
            f"data.set = {name!r}: {counts['train']} train examples are too few to hold out a validation split"
        )
    rest = counts["train"] - held_out
    return {
        "train": _Part("train", 0, rest),
        "validation": _Part("train", rest, held_out),
        "test": _Part(test, 0, counts[test]),
    }


def _content(folder: Path, shape: tuple[int, ...]) -> str:
    """A digest of what TFDS wrote about the set: sizes and checksums of its files, features. The set may be huge."""
    described = [(folder / name).read_bytes() for name in ("dataset_info.json", "features.json")]
    return sha256(b"\n".join([*described, str(shape).encode()])).hexdigest()


def _statistics(
    content: str, read: Callable[[str], Records], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, measured once."""

    def measure(to: Path) -> None:
        (to / "statistics.json").write_text(json.dumps(statistics(read("train"), channels)))

    folder = make_once(cache_folder() / "statistics" / content, measure)
    mean, std = read_json(folder / "statistics.json")
    return tuple(mean), tuple(std)
