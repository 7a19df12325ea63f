"""Fashion-MNIST: Xiao, Rasul & Vollgraf 2017, https://arxiv.org/abs/1708.07747. 28 x 28 grey, ten classes, MIT."""

from pathlib import Path

from dlvr_jax.data import idx
from dlvr_jax.data.fetch import Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Feature, Source, Spec

_SPEC = Spec(
    name="fashion_mnist",
    features={"image": Feature((28, 28, 1), "uint8"), "label": Feature((), "int32")},
    splits={"train": 55_000, "validation": idx.VALIDATION, "test": 10_000},
    num_classes=10,
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    mean=(0.2860,),  # these two of the published train split, as everywhere
    std=(0.3530,),
)

_ORIGIN = Origin(
    name="fashion_mnist",
    files=idx.files(
        train_images="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        train_labels="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        test_images="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        test_labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    folders=(Path("/usr/share/datasets/fashion-mnist"),),
    addresses=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    package=Package("apt", "dataset-fashion-mnist", folder="usr/share/datasets/fashion-mnist"),
)


def fashion_mnist(*, path: str | None = None) -> Source:
    """Images (28, 28, 1): 55,000 train, 5,000 validation (the last of the published train split), 10,000 test.

    `path` names a folder with the four published files.
    """
    check_path(_ORIGIN, path)
    return Prepared(_SPEC, read=lambda: idx.read_splits(fetch(_ORIGIN, path)))
