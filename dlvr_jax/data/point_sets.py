"""Points of two classes in the plane, drawn anew by a seed: no files."""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.sources import SPLITS, Feature, InMemory, Spec
from dlvr_jax.schema import Between

Count = Annotated[int, Between(2, 1_000_000)]
Noise = Annotated[float, Between(0, 10)]
Seed = Annotated[int, Between(0, 2**31 - 1)]
Shape = Literal["moons", "circles"]


def two_classes(
    name: str, shape: Shape, arguments: tuple[tuple[str, float], ...], counts: tuple[int, int, int], seed: int
) -> InMemory:
    """scikit-learn's `make_moons` or `make_circles`: "point" (2,) and "label". Each split has a seed of its own."""
    spec = Spec(
        name=name,
        features={"point": Feature((2,), "float32"), "label": Feature((), "int32")},
        splits=dict(zip(SPLITS, counts, strict=True)),
        num_classes=2,
        class_names=("outer", "inner") if shape == "circles" else ("upper", "lower"),
    )
    return InMemory(spec, lambda split: _drawn(shape, arguments, spec.splits[split], 3 * seed + SPLITS.index(split)))


@lru_cache(maxsize=16)
def _drawn(shape: Shape, arguments: tuple[tuple[str, float], ...], count: int, seed: int) -> Arrays:
    from sklearn import datasets

    make: Callable[..., Any] = getattr(datasets, f"make_{shape}")
    point, label = make(count, random_state=seed % 2**32, **dict(arguments))
    arrays = {"point": point.astype(np.float32), "label": label.astype(np.int32)}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
