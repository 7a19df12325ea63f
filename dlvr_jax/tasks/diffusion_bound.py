"""The variational bound of a diffusion: how many bits an image takes at most, per pixel and channel.

Ho et al. 2020, https://arxiv.org/abs/2006.11239, equation 5, is a sum over the times:

- the prior term KL(q(x_T | x_0) || N(0, 1)), which no network changes;
- for each t > 1 KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), where p takes the guess for x_0 and has the same
  variance, so that only the means differ;
- the last term -log p(x_0 | x_1), of a Gaussian of variance beta_1 cut into the 256 values of a pixel: section 3.3.

Images are in [-1, 1], in steps of 2 / 255. Terms are nats a dimension, means over an image.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dlvr_jax.tasks.sampling.diffusion_process import Images, Process, Times

HALF_STEP = 1 / 255  # half of what lies between two values of a pixel
LEAST = 1e-12  # probability of one value, so that its logarithm is finite

Terms = Float[Array, " batch"]


def prior_term(process: Process, x0: Images) -> Terms:
    """What is still known of the image at the last time."""
    kept = float(process.alpha_bars[-1])
    return jnp.mean(kept * x0**2 - kept - np.log1p(-kept), (1, 2, 3)) / 2


def step_term(process: Process, x0: Images, guess: Images, times: Times) -> Terms:
    """The KL divergence of the step from t to t - 1, at times from 2 on."""
    after = np.arange(2, process.steps + 1)
    posterior = process.posterior(after, after - 1)
    weights = jnp.asarray(posterior.of_image**2 / (2 * posterior.variance), jnp.float32)
    return weights[times - 2] * jnp.mean((x0 - guess) ** 2, (1, 2, 3))


def last_term(process: Process, x0: Images, guess: Images) -> Terms:
    """-log p(x_0 | x_1), whose mean is the guess; the lowest and highest value take all that lies beyond them."""
    deviation = float(np.sqrt(1 - process.alpha_bars[1]))
    above = jnp.where(x0 > 1 - HALF_STEP, jnp.inf, (x0 + HALF_STEP - guess) / deviation)
    below = jnp.where(x0 < -1 + HALF_STEP, -jnp.inf, (x0 - HALF_STEP - guess) / deviation)
    # Of a value above the guess the other tail is taken: there the two numbers are small and their difference exact.
    low, high = jnp.where(x0 > guess, -above, below), jnp.where(x0 > guess, -below, above)
    probability = jax.scipy.special.ndtr(high) - jax.scipy.special.ndtr(low)
    return -jnp.mean(jnp.log(jnp.maximum(probability, LEAST)), (1, 2, 3))


def evenly_spread(index: Int[Array, " batch"], count: int) -> Int[Array, " batch"]:
    """0 .. count - 1, of which any stretch of numbers gets each about as often: multiples of the golden ratio."""
    share = (index.astype(jnp.uint32) * jnp.uint32(2_654_435_769)) >> 8  # 2^32 over the golden ratio; 24 bits are left
    return jnp.minimum((share.astype(jnp.float32) * 2.0**-24 * count).astype(jnp.int32), count - 1)
