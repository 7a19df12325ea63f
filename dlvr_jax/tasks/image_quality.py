"""What every task that makes images is judged by: figures from a network of features, the same for all of them."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

from dlvr_jax.displays import Display, Images, Table
from dlvr_jax.metrics.features import FeatureNet, Seen
from dlvr_jax.metrics.generative import (
    class_entropy,
    frechet_distance,
    inception_score,
    kernel_distance,
    manifolds,
    nearest,
)
from dlvr_jax.metrics.set_up import described, set_up
from dlvr_jax.tasks.task import Direction

SHOWN = 16  # images above their nearest training images

Pictures = UInt8[np.ndarray, "_ height width channels"]
Training = Callable[[], Pictures]  # images of the training split, some thousands, always the same ones

DIRECTIONS: dict[str, Direction] = {
    "fid": "lower",
    "kid": "lower",
    "inception_score": "higher",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "class_entropy": "higher",
}
# Every figure that comes out of the network, so that it means something only beside its set-up.
JUDGED = (
    *DIRECTIONS,
    "fid_real",
    "inception_score_real",
    "nearest_training",
    "nearest_training_real",
    "class_agreement",
)


def is_judged(name: str) -> bool:
    """Whether a metric of a judged run is one of them, or of class_agreement a detail (of each guidance)."""
    return name in JUDGED or name.startswith("class_agreement/")


def image_quality(
    real: Pictures, generated: Pictures, net: FeatureNet | None, training: Training | None = None
) -> dict[str, float]:
    """The figures of DIRECTIONS; beside them fid_real, between the halves of the real images; how near the training
    images are; and the set-up.

    Halves have half as many examples, so fid_real is what a perfect generator would get at most. `nearest_training` is
    the median distance, in features, of a generated image to its nearest training image, `nearest_training_real` that
    of a real image that was not trained on: far below it, images are remembered. Without a network the figures are
    absent.

    Raises:
        UserError: the network does not fit the images, or it or the counts are not to be trusted (see FeatureNet).
    """
    if net is None:
        return {}
    known = None if training is None else _Hashed(training())
    return dict(_figures(net, _Hashed(real), _Hashed(generated), known))


def quality_table(metrics: dict[str, float], net: FeatureNet) -> Table:
    """The figures with the network and the data that they rest on, in words."""
    words = {name.replace("_", " "): value for name, value in described(net).items()}
    return Table(("figure", "value"), (*metrics.items(), *words.items()), "Image quality")


def nearest_shown(generated: Pictures, net: FeatureNet | None, training: Training | None) -> dict[str, Display]:
    """The first images, each above the training image that is nearest in features; nothing without a network."""
    if net is None or training is None:
        return {}
    known, some = _Hashed(training()), generated[:SHOWN]
    index, distance = nearest(net(some).features, _seen_once(net, known).features)
    pairs = np.concatenate([some, known.images[index]], axis=1)
    title = f"Samples above the nearest of {len(known.images):,} training images, and their distance in features"
    return {"nearest_training": Images(pairs, tuple(f"{one:.3g}" for one in distance), title)}


class _Hashed:
    """Images equal by value, so that those of a split go through the network once."""

    def __init__(self, images: Pictures) -> None:
        self.images, self._bytes = images, images.tobytes()

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self._bytes == other._bytes


@lru_cache(maxsize=1)
def _figures(net: FeatureNet, real: _Hashed, generated: _Hashed, training: _Hashed | None) -> dict[str, float]:
    """Computed once for a table and the metrics."""
    net.check_counts(len(real.images), len(generated.images))
    truth, made = _seen_once(net, real), net(generated.images)
    fits = manifolds(truth.features, made.features)
    return {
        "fid": frechet_distance(truth.features, made.features),
        "fid_real": frechet_distance(truth.features[::2], truth.features[1::2]),
        "kid": kernel_distance(truth.features, made.features),
        "inception_score": inception_score(made.probabilities),
        "inception_score_real": inception_score(truth.probabilities),
        "precision": fits.precision,
        "recall": fits.recall,
        "density": fits.density,
        "coverage": fits.coverage,
        "class_entropy": class_entropy(made.probabilities),
        **({} if training is None else _nearness(truth, made, _seen_once(net, training))),
        **set_up(net, real.images, generated.images, None if training is None else training.images),
    }


def _nearness(truth: Seen, made: Seen, known: Seen) -> dict[str, float]:
    """The medians of the distances to the nearest training image, of what was generated and of what is real."""
    return {
        "nearest_training": float(np.median(nearest(made.features, known.features)[1])),
        "nearest_training_real": float(np.median(nearest(truth.features, known.features)[1])),
    }


@lru_cache(maxsize=3)
def _seen_once(net: FeatureNet, images: _Hashed) -> Seen:
    """Of the real images of two splits, and of some training images."""
    return net(images.images)
