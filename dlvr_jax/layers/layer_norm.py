"""Layer normalisation: Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450, equation 4, with the mean and the
variance of each token alone.

On a CPU XLA writes the scale and the deviations out for every element before it sums. So there the gradient is written
by hand, its two means over a row as products with the vector of scales; it has no forward mode (`jax.jvp`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.computed_once import computed_once

Rows = Float[Array, "*rows width"]
OfRows = Float[Array, "*rows 1"]
OfWidth = Float[Array, " width"]
Saved = tuple[Rows, OfRows, OfRows, OfWidth]


class LayerNorm(nn.Module):
    """Mean 0 and variance 1 over the last axis; then a scale and a shift. The variance is the mean squared deviation:
    the mean square less the squared mean, Flax's default, cancels where the mean is large.
    """

    epsilon: float
    dtype: DTypeLike = jnp.float32  # of the result; parameters and statistics are float32

    @nn.compact
    def __call__(self, x: Rows) -> Rows:
        """See the class."""
        scale = jnp.asarray(self.param("scale", nn.initializers.ones, (x.shape[-1],)))
        bias = jnp.asarray(self.param("bias", nn.initializers.zeros, (x.shape[-1],)))
        norm = _norm if jax.default_backend() == "cpu" else _plain_norm
        return norm(x.astype(jnp.float32), scale, bias, self.epsilon).astype(self.dtype)


def _plain_norm(x: Rows, scale: OfWidth, bias: OfWidth, epsilon: float) -> Rows:
    return _forward(x, scale, bias, epsilon)[0]


_norm = jax.custom_vjp(_plain_norm, nondiff_argnums=(3,))


def _forward(x: Rows, scale: OfWidth, bias: OfWidth, epsilon: float) -> tuple[Rows, Saved]:
    mean = x.mean(-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.square(x - mean).mean(-1, keepdims=True) + epsilon)
    mean, inverse = computed_once(mean), computed_once(inverse)
    return (x - mean) * inverse * scale + bias, (x, mean, inverse, scale)


def _backward(epsilon: float, saved: Saved, dy: Rows) -> tuple[Rows, OfWidth, OfWidth]:
    """dx = inverse (g - mean(g) - z mean(g z)) for g = dy scale and the normalised rows z.

    mean(g) is dy . scale / width, mean(g z) is (dy z) . scale / width.
    """
    x, mean, inverse, scale = saved
    z = (x - mean) * inverse
    d_scale = computed_once(dy * z)
    of_g, of_g_z = (computed_once(rows @ scale / scale.size)[..., None] for rows in (dy, d_scale))
    rows = tuple(range(x.ndim - 1))
    return inverse * (dy * scale - of_g - z * of_g_z), d_scale.sum(rows), dy.sum(rows)


_norm.defvjp(_forward, _backward)
