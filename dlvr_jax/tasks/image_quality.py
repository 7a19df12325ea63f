"""What every task that makes images is judged by: figures from a network of features, the same for all of them."""

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

from dlvr_jax.displays import Table
from dlvr_jax.metrics.features import FeatureNet, Seen, set_up
from dlvr_jax.metrics.generative import class_entropy, frechet_distance, inception_score, kernel_distance, manifolds
from dlvr_jax.tasks.task import Direction

Pictures = UInt8[np.ndarray, "_ height width channels"]

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


def image_quality(real: Pictures, generated: Pictures, net: FeatureNet | None) -> dict[str, float]:
    """The figures of DIRECTIONS, and beside them fid_real, between the halves of the real images, and the set-up.

    Halves have half as many examples, so fid_real is what a perfect generator would get at most. Without a network the
    figures are absent.

    Raises:
        UserError: the network does not fit the images, or it or the counts are not to be trusted (see FeatureNet).
    """
    return {} if net is None else dict(_figures(net, _Hashed(real), _Hashed(generated)))


def quality_table(metrics: dict[str, float], net: FeatureNet) -> Table:
    """The figures with the network and the data that they rest on, in words."""
    about = net.about
    words: dict[str, str | float] = {
        "network": f"{about.model}, {net.path}",
        "sha256": net.digest,
        "config": about.config,
        "trained on": about.data,
        "its test accuracy": about.test_accuracy,
    }
    figures = tuple((name, metrics[name]) for name in metrics)
    return Table(("figure", "value"), (*figures, *words.items()), "Image quality")


class _Hashed:
    """Images equal by value, so that those of a split go through the network once."""

    def __init__(self, images: Pictures) -> None:
        self.images, self._bytes = images, images.tobytes()

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self._bytes == other._bytes


@lru_cache(maxsize=1)
def _figures(net: FeatureNet, real: _Hashed, generated: _Hashed) -> dict[str, float]:
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
        **set_up(net, real.images, generated.images),
    }


@lru_cache(maxsize=2)
def _seen_once(net: FeatureNet, real: _Hashed) -> Seen:
    return net(real.images)
