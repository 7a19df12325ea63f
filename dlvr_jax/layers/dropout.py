"""Dropout whose rate is a number of the program's input, not of its text."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


def dropout(
    x: Float[Array, "*leading last"], rate: float | Float[Array, ""], key: Key[Array, ""]
) -> Float[Array, "*leading last"]:
    """Zeroes each element with probability `rate` and scales the rest by 1 / (1 - rate): Srivastava et al. 2014.

    `rate` lies in [0, 1] and may be traced, also under `vmap` (Flax's own `nn.Dropout` compares it with 0 in Python).
    At rate 0 the result is `x` itself, at rate 1 it is zero, and so are the gradients. The result keeps `x`'s dtype.

    Each element has 16 random bits of its own, so a rate is rounded to a multiple of 2**-16.
    """
    kept = jnp.round((1.0 - jnp.asarray(rate, jnp.float32)) * 2**16)
    scale = jnp.where(kept > 0, 2**16 / kept, 0.0).astype(x.dtype)
    return jnp.where(_sixteen_bits(key, x.shape) < kept.astype(jnp.int32), x * scale, jnp.zeros_like(x))


def _sixteen_bits(key: Key[Array, ""], shape: tuple[int, ...]) -> Int[Array, "..."]:
    """From 0 to 2**16 - 1, two of each word drawn. `jax.random.bits` of 16 bits draws a word for each, as does
    `jax.random.bernoulli`: twice the time, which is most of what dropout costs on a CPU.
    """
    *leading, last = shape
    pairs = jax.random.bits(key, (*leading, -(-last // 2)), jnp.uint32)
    return jax.lax.bitcast_convert_type(pairs, jnp.uint16).reshape(*leading, -1)[..., :last].astype(jnp.int32)
