"""The norm of all numbers of a tree together."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def global_norm(tree: Any) -> Float[Array, ""]:
    """Of all leaves as one vector, Euclidean: `optax.tree.norm` in fewer operations.

    That one sums each leaf by itself. Of biases and norms there are many, each of few numbers: they are summed as one.
    """
    leaves = jax.tree.leaves(tree)
    short = [leaf.ravel() for leaf in leaves if leaf.ndim < 2]
    parts = [leaf for leaf in leaves if leaf.ndim > 1] + ([jnp.concatenate(short)] if short else [])
    return jnp.sqrt(sum((jnp.square(part).sum() for part in parts), jnp.zeros(())))
