"""From noise to images, by any denoiser: ancestral sampling and DDIM.

A denoiser is a function (x_t, t) -> x_0, its best guess of the image. Both samplers walk down any times between
`process.steps` and 0, as one scan.

- Ancestral: Ho et al. 2020, https://arxiv.org/abs/2006.11239, algorithm 2: each step is a draw of q(x_s | x_t, x_0)
  with the guess as x_0, and so with the smaller of the paper's two variances (section 3.2).
- DDIM: Song et al. 2021, https://arxiv.org/abs/2010.02502, equations 12 and 16: the share `eta` of that variance is
  drawn, the rest keeps the noise found in x_t. With eta = 0 nothing is drawn after the first noise; with eta = 1 it is
  ancestral sampling in other words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from dlvr_jax.errors import UserError
from dlvr_jax.tasks.sampling.diffusion_process import HostTimes, Images, Process, Times

Denoiser = Callable[[Images, Times], Images]
Draws = Key[Array, " batch"]  # the key of each image
DDIM_STEPS = 50  # by default

Path = Float[Array, "steps shown height width channels"]


@dataclass(frozen=True)
class Route:
    """Which sampler, and over which times. `eta` is of DDIM, in [0, 1]; ancestral sampling draws all."""

    process: Process
    steps: int
    sampler: str = "ddim"
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.sampler not in ("ddim", "ancestral"):
            raise UserError(f'sampler = {self.sampler}: there are "ddim" and "ancestral"')
        if not 1 <= self.steps <= self.process.steps:
            raise UserError(f"steps = {self.steps} must be between 1 and {self.process.steps}, those of the training")
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta = {self.eta} must be between 0 and 1")

    @classmethod
    def of(cls, process: Process, sampler: str = "ddim", steps: int | None = None, eta: float = 0.0) -> "Route":
        """By default 50 steps of DDIM, or all steps of ancestral sampling."""
        default = process.steps if sampler == "ancestral" else min(DDIM_STEPS, process.steps)
        return cls(process, default if steps is None else steps, sampler, eta)

    @property
    def times(self) -> HostTimes:
        """From the last to 0, `steps` + 1 of them, evenly spread and rounded."""
        return np.round(np.linspace(self.process.steps, 0, self.steps + 1)).astype(np.int32)


def draws(key: Key[Array, ""], index: Int[Array, " batch"]) -> Draws:
    """Each example's own key."""
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(index)


def first_noise(keys: Draws, shape: tuple[int, ...]) -> Images:
    """x_T, an image's own for each key."""
    return _drawn(keys, 0, shape)


def sampled(route: Route, denoise: Denoiser, x: Images, keys: Draws) -> Images:
    """The images at the end of the route that begins in noise `x`. Each image's draws come from its own key."""
    return _walked(route, denoise, x, keys, lambda x, guess: None)[0]


def sampled_path(
    route: Route, denoise: Denoiser, x: Images, keys: Draws, first: int | None = None
) -> tuple[Images, Path, Path]:
    """The images; and of the `first` of them x after each step, and what the denoiser took for the image before it."""
    images, (path, guesses) = _walked(route, denoise, x, keys, lambda x, guess: (x[:first], guess[:first]))
    return images, path, guesses


def _walked(
    route: Route, denoise: Denoiser, x: Images, keys: Draws, watch: Callable[[Images, Images], Any]
) -> tuple[Images, Any]:
    stochastic = route.sampler == "ancestral" or route.eta > 0

    def step(x: Images, row: tuple[Array, ...]) -> tuple[Images, object]:
        time, number, of_guess, of_noisy, deviation = row
        guess = denoise(x, jnp.full(len(x), time))
        x = of_guess * guess + of_noisy * x
        if stochastic:
            x = x + deviation * _drawn(keys, number, x.shape[1:])
        return x, watch(x, guess)

    numbers = jnp.arange(1, route.steps + 1)
    coefficients = (jnp.asarray(row, jnp.float32) for row in _coefficients(route))
    return jax.lax.scan(step, x, (jnp.asarray(route.times[:-1]), numbers, *coefficients))


def _drawn(keys: Draws, number: ArrayLike, shape: tuple[int, ...]) -> Images:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, number), shape))(keys)


def _coefficients(route: Route) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each step is a x_0 + b x_t + c noise, with a, b and c of every step, made in float64."""
    now, before = route.times[:-1], route.times[1:]
    posterior = route.process.posterior(now, before)
    if route.sampler == "ancestral":
        return posterior.of_image, posterior.of_noisy, np.sqrt(posterior.variance)
    kept, later = route.process.alpha_bars[before], route.process.alpha_bars[now]
    deviation = route.eta * np.sqrt(posterior.variance)
    # x_s = a_s x_0 + sqrt(s_s^2 - deviation^2) eps + deviation noise, with eps = (x_t - a_t x_0) / s_t.
    of_eps = np.sqrt(np.maximum(1 - kept - deviation**2, 0))
    of_noisy = of_eps / np.sqrt(1 - later)
    return np.sqrt(kept) - np.sqrt(later) * of_noisy, of_noisy, deviation
