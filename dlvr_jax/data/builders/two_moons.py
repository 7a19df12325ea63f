"""Two moons: half circles of radius 1 that reach into each other, so no line parts them."""

from dlvr_jax.data.point_sets import Count, Noise, Seed, two_classes
from dlvr_jax.data.sources import Source


def two_moons(
    *,
    noise: Noise = 0.1,
    train: Count = 1_000,
    validation: Count = 500,
    test: Count = 500,
    sample_seed: Seed = 0,
    path: str | None = None,
) -> Source:
    """Points of two classes, half of each; `noise` is the standard deviation of what is added to each coordinate.

    `path` is accepted, as every data set does, and not used: there are no files.
    """
    return two_classes("two_moons", "moons", (("noise", noise),), (train, validation, test), sample_seed)
