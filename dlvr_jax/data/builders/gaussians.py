"""Eight Gaussians on a circle: what shows in the plane whether a generator drops modes, as in Metz et al. 2017,
"Unrolled Generative Adversarial Networks", https://arxiv.org/abs/1611.02163, section 3.1.
"""

from typing import Annotated

import numpy as np

from dlvr_jax.data.sources import SPLITS, Arrays, Feature, InMemory, Source, Spec
from dlvr_jax.schema import Between

MODES = 8
_COUNT = Between(1, 1_000_000)
_SIZE = Between(1e-3, None)  # above 0, as the data's deviation must be
_SEED = 8  # of the words that points are made of, beside the split's number


def gaussians(
    *,
    radius: Annotated[float, _SIZE] = 2.0,
    std: Annotated[float, _SIZE] = 0.05,
    train: Annotated[int, _COUNT] = 50_000,
    validation: Annotated[int, _COUNT] = 5_000,
    test: Annotated[int, _COUNT] = 10_000,
    path: str | None = None,
) -> Source:
    """Points (2,), the eight modes in turn, with the mode's number as label. `std` is per axis; the paper's is 0.02.

    `path` is accepted, as every data set does, and not used: there are no files.
    """
    across = (radius**2 / 2 + std**2) ** 0.5
    spec = Spec(
        name="gaussians",
        features={"point": Feature((2,), "float32"), "label": Feature((), "int32")},
        splits=dict(zip(SPLITS, (train, validation, test), strict=True)),
        num_classes=MODES,
        class_names=tuple(f"{360 // MODES * mode} degrees" for mode in range(MODES)),
        mean=(0.0, 0.0),
        std=(across, across),
    )
    return InMemory(spec, lambda split: _arrays(spec.splits[split], SPLITS.index(split), radius, std))


def _arrays(count: int, number: int, radius: float, std: float) -> Arrays:
    label = (np.arange(count) % MODES).astype(np.int32)
    angle = 2 * np.pi * label / MODES
    centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return {"point": (centres + std * _normal(number, count)).astype(np.float32), "label": label}


def _normal(number: int, count: int) -> np.ndarray:
    """Standard normal (count, 2), out of raw words, so that it stays the same for ever: Box and Muller 1958."""
    raw = np.random.Philox(key=np.array([_SEED, number], dtype=np.uint64)).random_raw(2 * count)
    uniform = ((raw >> 11) + 0.5).reshape(2, count) / 2.0**53  # in (0, 1)
    length, angle = np.sqrt(-2 * np.log(uniform[0])), 2 * np.pi * uniform[1]
    return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1)
