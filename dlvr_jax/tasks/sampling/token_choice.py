"""Which token comes next, out of logits: temperature, the k likeliest, the nucleus.

Each takes logits and gives logits; what is excluded is minus infinity.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from dlvr_jax.schema import Number

Logits = Float[Array, "rows vocabulary"]
_COLDEST = 1e-6  # of this temperature already only the likeliest token is left


def tempered(logits: Float[Array, "*rows vocabulary"], temperature: Number) -> Float[Array, "*rows vocabulary"]:
    """softmax(logits / temperature): 1 as learned, less is bolder, 0 takes the likeliest."""
    return logits / jnp.maximum(temperature, _COLDEST)


def top_k(logits: Logits, k: int) -> Logits:
    """The k likeliest tokens are left, of equal ones the first; all of them where there are no more than k.

    Fan, Lewis & Dauphin 2018, https://arxiv.org/abs/1805.04833, section 5.4.
    """
    likeliest = jnp.argsort(-logits, axis=-1, stable=True)[:, :k]
    kept = jnp.zeros(logits.shape, bool).at[jnp.arange(len(logits))[:, None], likeliest].set(True)
    return jnp.where(kept, logits, -jnp.inf)


def top_p(logits: Logits, p: Number) -> Logits:
    """The nucleus is left, the fewest likeliest tokens that hold the probability `p` together; at least the likeliest.

    Holtzman et al. 2020, https://arxiv.org/abs/1904.09751, section 3.1.
    """
    order = jnp.argsort(-logits, axis=-1, stable=True)
    probabilities = jax.nn.softmax(jnp.take_along_axis(logits, order, -1))
    before = jnp.cumsum(probabilities, -1) - probabilities  # of all likelier tokens
    inside = (before < p).at[:, 0].set(True)
    kept = jnp.zeros(logits.shape, bool).at[jnp.arange(len(logits))[:, None], order].set(inside)
    return jnp.where(kept, logits, -jnp.inf)


def drawn(
    logits: Logits, key: Key[Array, ""], temperature: Number, k: int | None = None, p: Number | None = None
) -> Int[Array, " rows"]:
    """A token for each row: temperature first, then the k likeliest, then the nucleus of what is left."""
    logits = tempered(logits.astype(jnp.float32), temperature)
    logits = logits if k is None else top_k(logits, k)
    logits = logits if p is None else top_p(logits, p)
    return jax.random.categorical(key, logits).astype(jnp.int32)
