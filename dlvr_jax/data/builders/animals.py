"""Animals: 10,000 silhouettes of ten animals, 28 x 28 (the PyPI package animal-mnist, MIT).

A second domain of Fashion-MNIST's shape. Only zebras are grey inside. 284 pictures occur more than once.
"""

from hashlib import sha256

import numpy as np

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.buckets import split_of
from dlvr_jax.data.fetch import Content, File, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import SPLITS, Feature, Source, Spec

_IMAGES, _LABELS = "animal_data_version_3.gz", "animal_label_version_3.gz"
# The files are pickles, which run code when they are loaded. The arrays lie in them in one piece, from these bytes on.
_IMAGES_AT, _LABELS_AT = 150, 146
_COUNT, _SIDE = 10_000, 28

_SPEC = Spec(
    name="animals",
    features={"image": Feature((_SIDE, _SIDE, 1), "uint8"), "label": Feature((), "int32")},
    splits={"train": 8_012, "validation": 961, "test": 1_027},
    num_classes=10,
    class_names=("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra"),
    mean=(0.273,),
    std=(0.406,),
)

_ORIGIN = Origin(
    name="animals",
    files=(
        File(_IMAGES, "0a13908291891bf5b97b18427cf0eceedcb720959826cc85f7e06dc89e5eaf77"),
        File(_LABELS, "3d826227c39b7dba09abb8273cf07928443fec2c56b6396b4872741b7b332f93"),
    ),
    package=Package("pip", "animal-mnist", folder="animal_mnist/data/Animal_MNIST", version="0.4"),
)


def animals(*, path: str | None = None) -> Source:
    """Images (28, 28, 1), split by picture, so that equal ones are in the same split.

    `path` names a folder with the package's two files.
    """
    check_path(_ORIGIN, path)
    return Prepared(_SPEC, read=lambda: _read(fetch(_ORIGIN, path)))


def _read(contents: Content) -> dict[str, Arrays]:
    pixels = np.frombuffer(contents[_IMAGES], np.uint8, _COUNT * _SIDE * _SIDE, _IMAGES_AT)
    images = pixels.reshape(_COUNT, _SIDE, _SIDE, 1)
    labels = np.frombuffer(contents[_LABELS], "<i8", _COUNT, _LABELS_AT).astype(np.int32)
    splits = np.array([split_of(sha256(image.tobytes()).hexdigest()) for image in images])
    return {split: {"image": images[splits == split], "label": labels[splits == split]} for split in SPLITS}
