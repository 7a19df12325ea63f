"""Dropout whose rate is a number of the program's input, not of its text."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def dropout(x: Float[Array, "*shape"], rate: float | Float[Array, ""], key: Key[Array, ""]) -> Float[Array, "*shape"]:
    """Zeroes each element with probability `rate` and scales the rest by 1 / (1 - rate): Srivastava et al. 2014.

    `rate` lies in [0, 1] and may be traced, also under `vmap` (Flax's own `nn.Dropout` compares it with 0 in Python).
    At rate 0 the result is `x` itself, at rate 1 it is zero, and so are the gradients. The result keeps `x`'s dtype.
    """
    keep = 1.0 - jnp.asarray(rate, jnp.float32)
    scale = jnp.where(keep > 0, 1.0 / keep, 0.0).astype(x.dtype)
    return jnp.where(jax.random.bernoulli(key, keep, x.shape), x * scale, jnp.zeros_like(x))
