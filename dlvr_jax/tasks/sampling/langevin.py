"""Langevin dynamics: Markov chains that follow an energy downhill, with noise.

    x <- x - step_size * dE/dx + noise * N(0, 1)

With noise = sqrt(2 step_size) and small steps the chains come to the density exp(-E) / Z (Roberts and Tweedie 1996, doi
10.2307/3318418). Energies of images are trained with less noise and larger steps, so at a temperature of noise^2 / (2
step_size): Du and Mordatch 2019, https://arxiv.org/abs/1903.08689, and Nijkamp et al. 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

Points = Float[Array, "chains *shape"]
Energy = Callable[[Points], Float[Array, " chains"]]


@dataclass(frozen=True)
class Box:
    """Where chains live: they start uniformly in it, and are kept inside."""

    low: float
    high: float

    def uniform(self, key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Points anywhere in it."""
        return jax.random.uniform(key, shape, minval=self.low, maxval=self.high)


class Dynamics(NamedTuple):
    """The numbers of a step; `clip` bounds each component of the slope dE/dx."""

    step_size: float | Scalar
    noise: float | Scalar
    clip: float | Scalar | None = None


def langevin(
    energy: Energy, start: Points, key: Key[Array, ""], steps: int, dynamics: Dynamics, box: Box | None = None
) -> Points:
    """The chains after some steps; no gradient flows back through them.

    The slope is each chain's own, whatever the number of chains.
    """
    step = partial(_step, energy, dynamics=dynamics, box=box)
    keys = jax.random.split(key, steps)
    return jax.lax.stop_gradient(
        jax.lax.scan(lambda x, key: (step(x, key), None), jax.lax.stop_gradient(start), keys)[0]
    )


def langevin_path(
    energy: Energy,
    start: Points,
    key: Key[Array, ""],
    steps: int,
    frames: int,
    dynamics: Dynamics,
    box: Box | None = None,
) -> Float[Array, "frames chains *shape"]:
    """The chains at the start and after each `steps_between(steps, frames)` steps."""
    run = partial(langevin, energy, steps=steps_between(steps, frames), dynamics=dynamics, box=box)

    def part(x: Points, key: Key[Array, ""]) -> tuple[Points, Points]:
        x = run(x, key)
        return x, x

    return jnp.concatenate([start[None], jax.lax.scan(part, start, jax.random.split(key, frames - 1))[1]])


def steps_between(steps: int, frames: int) -> int:
    """Between two of at least two frames, so that all of the way is `steps`, or a little more."""
    return -(-steps // (frames - 1))


def _step(energy: Energy, x: Points, key: Key[Array, ""], *, dynamics: Dynamics, box: Box | None) -> Points:
    slope = jax.grad(lambda x: energy(x).sum())(x)  # of the sum: the mean's would shrink with the number of chains
    if dynamics.clip is not None:
        slope = jnp.clip(slope, -dynamics.clip, dynamics.clip)
    x = x - dynamics.step_size * slope + dynamics.noise * jax.random.normal(key, x.shape)
    return x if box is None else jnp.clip(x, box.low, box.high)
