"""Batch normalisation: Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167, algorithm 1.

y = a x + b with one a and one b for each channel. So written, the gradient needs two sums over the batch, those of dy
and of dy x; written as (x - mean) / deviation, scaled and shifted, as in Flax, it takes three.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class BatchNorm(nn.Module):
    """Mean 0 and variance 1 over a batch, or by the moving averages; then a scale and a shift for each channel.

    The averages are the collection "batch_stats" and keep `momentum` of themselves a step. The variance is that of the
    batch, divided by its size, there too.
    """

    use_running_average: bool
    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Callable[..., Array] = nn.initializers.ones
    dtype: DTypeLike = jnp.float32  # of the result; parameters and statistics are float32

    @nn.compact
    def __call__(self, x: Float[Array, "*places channels"]) -> Float[Array, "*places channels"]:
        """See the class."""
        channels = x.shape[-1:]
        scale = jnp.asarray(self.param("scale", self.scale_init, channels))
        bias = jnp.asarray(self.param("bias", nn.initializers.zeros, channels))
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        variance = self.variable("batch_stats", "var", jnp.ones, channels)
        wide = x.astype(jnp.float32)
        if self.use_running_average:
            found, spread = jnp.asarray(mean.value), jnp.asarray(variance.value)
            return _affine(wide, found, spread + self.epsilon, scale, bias).astype(self.dtype)
        places = tuple(range(x.ndim - 1))
        found = wide.mean(places)
        spread = jnp.maximum(jnp.square(wide).mean(places) - jnp.square(found), 0)
        if not self.is_initializing():
            mean.value = self._moved(mean.value, found)
            variance.value = self._moved(variance.value, spread)
        return _affine(wide, found, spread + self.epsilon, scale, bias).astype(self.dtype)

    def _moved(self, average: Array, new: Array) -> Array:
        return self.momentum * average + (1 - self.momentum) * new


def _affine(x: Array, mean: Array, variance: Array, scale: Array, bias: Array) -> Array:
    a = scale * jax.lax.rsqrt(variance)
    return a * x + (bias - a * mean)
