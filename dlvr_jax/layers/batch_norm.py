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
    batch, divided by its size, there too; it is the mean square less the squared mean, one pass over the batch, which
    like `a x + b` loses digits where a mean is hundreds of deviations from zero: after a layer it is a few.
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
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        wide = x.astype(jnp.float32)
        if self.use_running_average:
            mean, variance = jnp.asarray(running_mean.value), jnp.asarray(running_var.value)
        else:
            places = tuple(range(x.ndim - 1))
            mean = wide.mean(places)
            variance = jnp.maximum(jnp.square(wide).mean(places) - jnp.square(mean), 0)
            if not self.is_initializing():
                running_mean.value = self._moved(running_mean.value, mean)
                running_var.value = self._moved(running_var.value, variance)
        a = scale * jax.lax.rsqrt(variance + self.epsilon)
        return (a * wide + (bias - a * mean)).astype(self.dtype)

    def _moved(self, average: Array, new: Array) -> Array:
        return self.momentum * average + (1 - self.momentum) * new
