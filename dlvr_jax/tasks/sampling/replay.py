"""A replay buffer of chains, which go on from step to step: Du and Mordatch 2019, section 3.2; Tieleman 2008 for those
that never start anew (persistent contrastive divergence).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

Chains = Float[Array, "chains *shape"]


def drawn(
    buffer: Float[Array, "size *shape"], key: Key[Array, ""], fresh: Chains, restart: float | Scalar
) -> tuple[Int[Array, " chains"], Chains]:
    """As many different rows of the buffer as `fresh` has, and where their chains go on from.

    Each starts anew from its row of `fresh` with the probability `restart`.
    """
    for_rows, for_restarts = jax.random.split(key)
    rows = jax.random.permutation(for_rows, len(buffer))[: len(fresh)]
    anew = jax.random.bernoulli(for_restarts, restart, (len(fresh), *[1] * (fresh.ndim - 1)))
    return rows, jnp.where(anew, fresh, buffer[rows])


def put_back(
    buffer: Float[Array, "size *shape"], rows: Int[Array, " chains"], chains: Chains
) -> Float[Array, "size *shape"]:
    """The buffer with the chains in their rows."""
    return buffer.at[rows].set(chains, unique_indices=True)
