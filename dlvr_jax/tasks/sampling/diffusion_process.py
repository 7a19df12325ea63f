"""The Gaussian diffusion: noise that is added step by step, and what can be said of it in closed form.

Ho et al. 2020, https://arxiv.org/abs/2006.11239, section 2. Times are whole: 0 is the image, `steps` is all but pure
noise. With a_t = sqrt(alpha-bar_t) and s_t = sqrt(1 - alpha-bar_t) a noisy image is x_t = a_t x_0 + s_t eps.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.noise_schedules import betas_of

# What a network says of a noisy image: its noise eps (Ho et al. 2020), the image x_0, or the velocity
# v = a_t eps - s_t x_0 (Salimans and Ho 2022, https://arxiv.org/abs/2202.00512). Each gives the other two.
Prediction = Literal["eps", "x0", "v"]

Images = Float[Array, "batch height width channels"]
Times = Int[Array, " batch"]
HostTimes = Int[np.ndarray, " times"]
HostNumbers = Float[np.ndarray, " times"]


class Posterior(NamedTuple):
    """The mean `of_image` x_0 + `of_noisy` x_t, and the variance, at each of some times."""

    of_image: HostNumbers
    of_noisy: HostNumbers
    variance: HostNumbers


@dataclass(frozen=True)
class Process:
    """A schedule of `steps` times, by its name: see `layers/noise_schedules.py`. Tables are made in float64."""

    schedule: str
    steps: int

    @property
    def alpha_bars(self) -> Float[np.ndarray, " {self.steps}+1"]:
        """alpha-bar_t at the times 0 .. steps: the share of the image in the variance of x_t; 1 at time 0."""
        return _alpha_bars(self.schedule, self.steps)

    def signal(self, times: Times) -> Float[Array, " batch"]:
        """a_t."""
        return jnp.asarray(np.sqrt(self.alpha_bars), jnp.float32)[times]

    def noise(self, times: Times) -> Float[Array, " batch"]:
        """s_t."""
        return jnp.asarray(np.sqrt(1 - self.alpha_bars), jnp.float32)[times]

    def noised(self, x0: Images, eps: Images, times: Times) -> Images:
        """x_t, a sample of q(x_t | x_0), if `eps` is one of a standard normal: equation 4."""
        return per_image(self.signal(times)) * x0 + per_image(self.noise(times)) * eps

    def target(self, kind: Prediction, x0: Images, eps: Images, times: Times) -> Images:
        """What the network should say of x_t."""
        if kind == "v":
            return per_image(self.signal(times)) * eps - per_image(self.noise(times)) * x0
        return eps if kind == "eps" else x0

    def image(self, kind: Prediction, said: Images, x: Images, times: Times) -> Images:
        """The x_0 that follows from what the network said of x_t, at times from 1 on."""
        if kind == "x0":
            return said
        a, s = per_image(self.signal(times)), per_image(self.noise(times))
        return (x - s * said) / a if kind == "eps" else a * x - s * said

    def eps(self, x0: Images, x: Images, times: Times) -> Images:
        """The noise in x_t, at times from 1 on, if x_0 is this."""
        return (x - per_image(self.signal(times)) * x0) / per_image(self.noise(times))

    def posterior(self, now: HostTimes, before: HostTimes) -> Posterior:
        """Of q(x_s | x_t, x_0) for s = `before` < t = `now`: equations 6 and 7, where s is t - 1; in float64."""
        kept, later = self.alpha_bars[before], self.alpha_bars[now]
        alpha, left = later / kept, 1 - later
        return Posterior(
            np.sqrt(kept) * (1 - alpha) / left,
            np.sqrt(alpha) * (1 - kept) / left,
            (1 - kept) / left * (1 - alpha),
        )


def per_image(numbers: Float[Array, " batch"]) -> Float[Array, "batch 1 1 1"]:
    """One number an image, to multiply images with."""
    return numbers[:, None, None, None]


@lru_cache(maxsize=16)
def _alpha_bars(schedule: str, steps: int) -> Float[np.ndarray, " times"]:
    return np.concatenate([[1.0], np.cumprod(1 - betas_of(schedule, steps))])
