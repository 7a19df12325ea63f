"""A stacked GRU as a language model: the unit of Cho et al. 2014, https://arxiv.org/abs/1406.1078, in the network of
Zaremba, Sutskever & Vinyals 2014, https://arxiv.org/abs/1409.2329; compared with the LSTM as by Chung et al. 2014,
https://arxiv.org/abs/1412.3555.

Parameters: V E for the embedding, H (3 I + 3 H + 4) for a layer of H units on I inputs, and (H + 1) V for the logits;
tied logits have V alone.

Deviations:
- The reset gate acts after the matrix product; the recurrent matrices start orthogonal (see `layers/recurrence.py`).
- Embedding and layers may differ in width. Logits may share the embedding's table: Press & Wolf 2017,
  https://arxiv.org/abs/1608.05859.
"""

from typing import Annotated, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.recurrence import GRU as Layer
from dlvr_jax.layers.recurrence import GRUCarry, Stack
from dlvr_jax.layers.recurrent_language import next_token_logits
from dlvr_jax.schema import Between, Count, Number

Carry = tuple[GRUCarry, ...]  # of each layer, from the lowest on


class GRU(nn.Module):
    """Tokens to the logits of the token after each."""

    vocab_size: int
    embedding: Count = 64
    features: Count = 256  # of each layer
    layers: Count = 2
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
        one = Layer(self.features, dtype=self.dtype, parent=None)
        return tuple(one.clone() for _ in range(self.layers))
