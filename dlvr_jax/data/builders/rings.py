"""Two rings: circles of radius 1 and of `factor` around one centre, so no line parts them, but a square does."""

from typing import Annotated

from dlvr_jax.data.point_sets import Count, Noise, Seed, two_classes
from dlvr_jax.data.sources import Source
from dlvr_jax.schema import Between


def rings(
    *,
    noise: Noise = 0.1,
    factor: Annotated[float, Between(0, 0.99)] = 0.4,
    train: Count = 1_000,
    validation: Count = 500,
    test: Count = 500,
    sample_seed: Seed = 0,
    path: str | None = None,
) -> Source:
    """Points of two classes, half of each; `noise` is the standard deviation of what is added to each coordinate.

    `path` is accepted, as every data set does, and not used: there are no files.
    """
    arguments = (("factor", factor), ("noise", noise))
    return two_classes("rings", "circles", arguments, (train, validation, test), sample_seed)
