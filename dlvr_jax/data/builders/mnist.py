"""MNIST: LeCun, Bottou, Bengio & Haffner 1998, section III.A. 28 x 28 grey, ten handwritten digits."""

from dlvr_jax.data import idx
from dlvr_jax.data.fetch import Origin, check_path, fetch
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Feature, Source, Spec

_SPEC = Spec(
    name="mnist",
    features={"image": Feature((28, 28, 1), "uint8"), "label": Feature((), "int32")},
    splits={"train": 55_000, "validation": idx.VALIDATION, "test": 10_000},
    num_classes=10,
    class_names=tuple("0123456789"),
    mean=(0.1307,),  # these two of the published train split, as everywhere
    std=(0.3081,),
)

_ORIGIN = Origin(
    name="mnist",
    files=idx.files(
        train_images="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        train_labels="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        test_images="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        test_labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    addresses=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
)


def mnist(*, path: str | None = None) -> Source:
    """Images (28, 28, 1): 55,000 train, 5,000 validation (the last of the published train split), 10,000 test.

    `path` names a folder with the four published files.
    """
    check_path(_ORIGIN, path)
    return Prepared(_SPEC, read=lambda: idx.read_splits(fetch(_ORIGIN, path)))
