"""Stochastic depth: Huang et al. 2016, "Deep Networks with Stochastic Depth", https://arxiv.org/abs/1603.09382."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dlvr_jax.layers.dropout import dropout
from dlvr_jax.schema import Number


def stochastic_depth(
    branch: Float[Array, "batch *rest"], rate: Number, key: Key[Array, ""]
) -> Float[Array, "batch *rest"]:
    """A residual branch, gone for an example with probability `rate`, else scaled by 1 / (1 - rate); for training.

    `rate` lies in [0, 1] and may be traced. The paper scales the whole branch by 1 - rate in tests
    instead.
    """
    return branch * dropout(jnp.ones((branch.shape[0],) + (1,) * (branch.ndim - 1), branch.dtype), rate, key)
