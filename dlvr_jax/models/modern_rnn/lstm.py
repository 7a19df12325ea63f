"""A stacked LSTM as a language model: Zaremba, Sutskever & Vinyals 2014, "Recurrent Neural Network Regularization",
https://arxiv.org/abs/1409.2329: embedding, LSTM layers with dropout between them, logits of the next token.

Parameters: V E for the embedding, 4 H (I + H + 1) for a layer of H units on I inputs, and (H + 1) V for the logits;
tied logits have V alone.

Deviations:
- The forget gate's bias starts at 1, the recurrent matrices orthogonal (see `layers/recurrence.py`); in the paper all
  weights are uniform.
- Embedding and layers may differ in width. Logits may share the embedding's table: Press & Wolf 2017,
  https://arxiv.org/abs/1608.05859.
"""

from typing import Annotated, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.recurrence import LSTM as Layer
from dlvr_jax.layers.recurrence import LSTMCarry, Stack
from dlvr_jax.layers.recurrent_language import next_token_logits
from dlvr_jax.schema import Between, Count, Number

Carry = tuple[LSTMCarry, ...]  # of each layer, from the lowest on


class LSTM(nn.Module):
    """Tokens to the logits of the token after each."""

    vocab_size: int
    embedding: Count = 64
    features: Count = 256  # of each layer
    layers: Count = 2
    forget_bias: float = 1.0
    tied: bool = False  # one table for tokens and logits; needs embedding = features
    dtype: DTypeLike = jnp.float32  # of the matrix products; parameters, gates, carry and logits are float32
    context: ClassVar[int | None] = None  # it sees as far back as its carry remembers

    @nn.nowrap
    def initial_carry(self, batch_size: int) -> Carry:
        """Zeros: nothing read yet."""
        return tuple(layer.initial_carry(batch_size) for layer in self._layers())

    @nn.nowrap
    def initial_cache(self, batch_size: int, length: int) -> Carry:
        """The same: a carry has room for any number of tokens."""
        return self.initial_carry(batch_size)

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array, "batch length"],
        carry: Carry | None = None,
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> tuple[Float[Array, "batch length {self.vocab_size}"], Carry]:
        """The logits, float32, and the carry after the last token. `dropout` needs the random stream "dropout"."""
        stack = Stack(self._layers(), name="stack")
        return next_token_logits(self, stack, tokens, carry, train=train, dropout=dropout)

    @nn.nowrap
    def _layers(self) -> tuple[Layer, ...]:
        one = Layer(self.features, forget_bias=self.forget_bias, dtype=self.dtype, parent=None)
        return tuple(one.clone() for _ in range(self.layers))
