"""Attention of a decoder over the states of an encoder.

A query q (the decoder's state) is scored against every state h of the source; the weights are the softmax of the
scores over the real positions, the context is the weighted mean of the states:

- additive: v . tanh(W q + U h), Bahdanau, Cho & Bengio 2015, https://arxiv.org/abs/1409.0473, appendix A.1.2;
- dot: q . h, and general: q . W h, Luong, Pham & Manning 2015, https://arxiv.org/abs/1508.04025, section 3.1.

What depends on the source alone (U h, W h: the keys) is computed once a source, not once a step.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from dlvr_jax.layers.dense import Dense, product

Weights = Float[Array, "batch source"]
Context = Float[Array, "batch width"]


class AdditiveAttention(nn.Module):
    """Bahdanau's score, in `width` hidden units."""

    width: int
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.of_query = Dense(self.width, use_bias=False, dtype=self.dtype)  # W
        self.of_states = Dense(self.width, dtype=self.dtype)  # U, with the bias of both
        wide = partial(product, preferred_element_type=jnp.float32)
        self.score = Dense(1, use_bias=False, dtype=self.dtype, dot_general=wide)  # v

    def keys(self, states: Float[Array, "batch source width"]) -> Float[Array, "batch source {self.width}"]:
        """What of the scores depends on the source alone."""
        return self.of_states(states)

    def __call__(
        self,
        query: Float[Array, "batch query"],
        keys: Float[Array, "batch source {self.width}"],
        states: Float[Array, "batch source width"],
        mask: Bool[Array, "batch source"],
    ) -> tuple[Context, Weights]:
        """The context, and the weight of each position; `mask` is True at real positions."""
        hidden = jnp.tanh(self.of_query(query)[:, None] + keys)
        return attend(self.score(hidden)[..., 0], states, mask)


class MultiplicativeAttention(nn.Module):
    """Luong's scores "dot" and, with `general`, W between: queries and states are of one width."""

    width: int
    general: bool
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.of_states = Dense(self.width, use_bias=False, dtype=self.dtype) if self.general else None

    def keys(self, states: Float[Array, "batch source width"]) -> Float[Array, "batch source {self.width}"]:
        """See AdditiveAttention."""
        return states if self.of_states is None else self.of_states(states)

    def __call__(
        self,
        query: Float[Array, "batch {self.width}"],
        keys: Float[Array, "batch source {self.width}"],
        states: Float[Array, "batch source width"],
        mask: Bool[Array, "batch source"],
    ) -> tuple[Context, Weights]:
        """See AdditiveAttention."""
        scores = jnp.einsum("bd,bsd->bs", query, keys, preferred_element_type=jnp.float32)
        return attend(scores, states, mask)


def attend(
    scores: Float[Array, "batch source"], states: Float[Array, "batch source width"], mask: Bool[Array, "batch source"]
) -> tuple[Context, Weights]:
    """The mean of the states, weighted by the softmax (in float32) of the scores over the positions of the mask.

    Positions outside the mask have a weight of exactly 0; so has everything where the mask is empty.
    """
    scores = jnp.where(mask, scores.astype(jnp.float32), jnp.finfo(jnp.float32).min)
    weights = jnp.where(mask, jax.nn.softmax(scores), 0.0)
    return jnp.einsum("bs,bsd->bd", weights.astype(states.dtype), states), weights
