"""Made-up images with the spec of a real set: for tests and for every config's `tiny`. No disk, no network."""

import dataclasses
from importlib import import_module
from typing import Annotated

import numpy as np

from dlvr_jax.data.order import permutation
from dlvr_jax.data.sources import SPLITS, Arrays, InMemory, Source, Spec
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between

_COUNT = Between(1, 1_000_000)
_NOISE = 0.5  # standard deviation of the noise, where the pattern of a class has 0.87


def made_up(
    *,
    like: str = "digits",
    train: Annotated[int, _COUNT] = 64,
    validation: Annotated[int, _COUNT] = 32,
    test: Annotated[int, _COUNT] = 32,
    path: str | None = None,
) -> Source:
    """Random images that depend on their class, learnable in a few steps, with the spec of the set `like`.

    `path` is accepted, as every data set does, and not used: there are no files.
    """
    spec = dataclasses.replace(_spec_of(like), splits=dict(zip(SPLITS, (train, validation, test), strict=True)))
    return InMemory(spec, lambda split: _arrays(spec, split))


def _spec_of(like: str) -> Spec:
    try:
        module = import_module(f"dlvr_jax.data.builders.{like}")
        spec = getattr(module, like)().spec
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"data.like = {like!r} is no data set whose spec is known without its files") from error
    if set(spec.features) != {"image", "label"}:
        raise UserError(f"data.like = {like!r}: only images with labels can be made up")
    return spec


def _arrays(spec: Spec, split: str) -> Arrays:
    """Labels in turn, shuffled; pixels = mean + std (blocks of 4 x 4 that a class has in common, and noise)."""
    count, number = spec.splits[split], SPLITS.index(split)
    height, width, channels = spec.features["image"].shape
    classes = spec.num_classes or 1
    label = (permutation(number, 0, count) % classes).astype(np.int32)
    blocks = _uniform(0, (classes, -(-height // 4), -(-width // 4), channels))
    pattern = blocks.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    noise = _uniform(1 + number, (count, height, width, channels))
    standard = np.sqrt(1 - _NOISE**2) * pattern[label] + _NOISE * noise
    pixels = 255 * (np.array(spec.mean) + np.array(spec.std) * standard)
    return {"image": np.clip(np.round(pixels), 0, 255).astype(np.uint8), "label": label}


def _uniform(number: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform numbers of mean 0 and variance 1, out of raw bytes, so that they stay the same for ever."""
    size = int(np.prod(shape))
    raw = np.random.Philox(key=np.array([0, number], dtype=np.uint64)).random_raw(-(-size // 8))
    return (raw.astype("<u8").view(np.uint8)[:size].reshape(shape) - 127.5) / 73.9
