"""A recurrent encoder and decoder, with attention between them or without.

- "none": the decoder begins with the last state of the encoder and sees no more of the source. Sutskever, Vinyals & Le
  2014, "Sequence to Sequence Learning with Neural Networks", https://arxiv.org/abs/1409.3215.
- "bahdanau": the state before a step asks for a context, which is an input of the step. Bahdanau, Cho & Bengio 2015,
  "Neural Machine Translation by Jointly Learning to Align and Translate", https://arxiv.org/abs/1409.0473.
- "luong_dot", "luong_general": the state after a step asks; state and context give an attentional vector, from which
  the token is predicted, and which is an input of the next step. Luong, Pham & Manning 2015, "Effective Approaches to
  Attention-based Neural Machine Translation", https://arxiv.org/abs/1508.04025, sections 3.1 and 3.3 (input feeding).

Deviations:
- One layer; the papers on "none" and Luong's have four. Any of the three may have LSTM or GRU cells.
- The encoder may read in both directions in every form, each with half the width (Bahdanau's has two of full width), so
  that the decoder begins with both last states side by side, and forms differ in nothing but attention.
- Bahdanau's deep output (appendix A.2.2) is a tanh layer instead of a maxout one.
- The source is not reversed, as it is in Sutskever et al.

The forms have unequal numbers of parameters at equal `width`; a fair comparison sets the widths.
"""

from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.recurrence import GRU, LSTM
from dlvr_jax.layers.sequence_attention import AdditiveAttention, MultiplicativeAttention
from dlvr_jax.schema import Between, Count, Number

Cell = Literal["lstm", "gru"]
Attention = Literal["none", "bahdanau", "luong_dot", "luong_general"]
Rate = Annotated[Number | None, Between(0, 1)]
Source = Int[Array, "batch source"]
Target = Int[Array, "batch target"]
OfEach = Int[Array, " batch"]
Logits = Float[Array, "batch target vocabulary"]
Weights = Float[Array, "batch target source"]


class Memory(NamedTuple):
    """What the decoder gets of a source; every leaf has the batch in front."""

    states: Float[Array, "batch source width"]
    keys: Float[Array, "batch source width"]  # of the states, for the scores
    mask: Bool[Array, "batch source"]  # True = real
    carry: Any  # of the decoder, before the first token


class EncoderDecoder(nn.Module):
    """Source tokens and the target's so far to the logits of the target's next; the interface is that of the task."""

    vocab_size: int
    target_vocab_size: int
    attention: Attention = "bahdanau"
    cell: Cell = "lstm"
    width: Count = 128  # of the decoder's state, and of the encoder's of both directions together
    embedding: Count = 64
    bidirectional: bool = True
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, softmax and logits are float32

    def setup(self) -> None:
        directions = 2 if self.bidirectional else 1
        if self.width % directions:
            raise ValueError(f"width = {self.width} does not split over two directions; use {self.width + 1}")
        self.source_embedding = nn.Embed(self.vocab_size, self.embedding, dtype=self.dtype)
        self.target_embedding = nn.Embed(self.target_vocab_size, self.embedding, dtype=self.dtype)
        reads = [False, True][:directions]
        self.readers = [_layer(self.cell, self.width // directions, self.dtype, reverse) for reverse in reads]
        self.decoder = DecoderStep(self.attention, self.cell, self.width, self.dtype)
        self.output = Dense(self.target_vocab_size)

    def __call__(
        self, source: Source, source_length: OfEach, target_in: Target, *, train: bool, dropout: Rate = None
    ) -> tuple[Logits, Weights | None]:
        """Teacher forcing: the logits of the token after each of `target_in`, and the attention in each step.

        `dropout` is a rate in [0, 1], of the embeddings and of what the logits are made from, used when `train`.
        """
        memory = self.encode(source, source_length, train=train, dropout=dropout)
        return self.decode(target_in, memory, train=train, dropout=dropout)

    def encode(self, source: Source, source_length: OfEach, *, train: bool, dropout: Rate = None) -> Memory:
        """The states over the source; padding, at and beyond `source_length`, changes nothing of the rest."""
        x = self._dropped(self.source_embedding(source), train, dropout)
        read = [reader(x, lengths=source_length) for reader in self.readers]
        carries = [_parts(carry) for _, carry in read]
        carry = tuple(jnp.concatenate(parts, axis=-1) for parts in zip(*carries, strict=True))
        states = jnp.concatenate([states for states, _ in read], axis=-1)
        mask = jnp.arange(source.shape[1]) < source_length[:, None]
        return Memory(states, self.decoder.keys(states), mask, self.decoder.first_carry(carry))

    def decode(
        self, target_in: Target, memory: Memory, *, train: bool, dropout: Rate = None
    ) -> tuple[Logits, Weights | None]:
        """See `__call__`."""
        x = self._dropped(self.target_embedding(target_in), train, dropout)
        steps = nn.scan(
            lambda step, carry, token, memory: step(carry, token, memory),
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=(1, nn.broadcast),
            out_axes=1,
        )
        _, (features, weights) = steps(self.decoder, memory.carry, x, memory)
        features = self._dropped(features, train, dropout)
        return self.output(features.astype(jnp.float32)), weights

    def first_cache(self, memory: Memory, length: int) -> Any:
        """The carry before the first token; any number of steps may follow."""
        return memory.carry

    def step(
        self, token: OfEach, cache: Any, memory: Memory, *, train: bool, dropout: Rate = None
    ) -> tuple[Float[Array, "batch vocabulary"], Float[Array, "batch source"] | None, Any]:
        """One more token: logits of the next, attention, and the carry after it."""
        x = self._dropped(self.target_embedding(token), train, dropout)
        cache, (features, weights) = self.decoder(cache, x, memory)
        features = self._dropped(features, train, dropout)
        return self.output(features.astype(jnp.float32)), weights, cache

    def _dropped(self, x: Array, train: bool, rate: Rate) -> Array:
        return drop(x, rate, self.make_rng("dropout")) if train and rate is not None else x


class DecoderStep(nn.Module):
    """One step of the decoder: from its carry and an embedded token to the features that the logits are made from.

    The carry is the layer's, as a tuple with h in front, and for Luong's forms behind it the attentional vector.
    """

    attention: Attention
    cell: Cell
    width: int
    dtype: DTypeLike

    def setup(self) -> None:
        self.recurrence = _layer(self.cell, self.width, self.dtype)
        if self.attention != "none":
            self.attend = self._attention()
            self.combine = Dense(self.width, dtype=self.dtype)

    def keys(self, states: Float[Array, "batch source width"]) -> Float[Array, "batch source width"]:
        """What the scores need of the source."""
        return states if self.attention == "none" else self.attend.keys(states)

    def first_carry(self, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        """From the encoder's last carry; the attentional vector begins as zeros."""
        return (*carry, jnp.zeros_like(carry[0])) if self._feeds else carry

    def __call__(
        self, carry: tuple[Array, ...], x: Float[Array, "batch embedding"], memory: Memory
    ) -> tuple[tuple[Array, ...], tuple[Float[Array, "batch width"], Float[Array, "batch source"] | None]]:
        """The carry after the step, and (features, attention weights)."""
        own, fed = (carry[:-1], [carry[-1].astype(self.dtype)]) if self._feeds else (carry, [])
        if self.attention == "none":
            own, state = self._recur(own, [x])
            return own, (state, None)
        if self.attention == "bahdanau":
            context, weights = self._context(own[0], memory)
            own, state = self._recur(own, [x, context])
            return own, (self._combined([state, context, x]), weights)
        own, state = self._recur(own, [x, *fed])
        context, weights = self._context(state, memory)
        features = self._combined([context, state])
        return (*own, features.astype(jnp.float32)), (features, weights)

    def _attention(self) -> AdditiveAttention | MultiplicativeAttention:
        if self.attention == "bahdanau":
            return AdditiveAttention(self.width, dtype=self.dtype)
        return MultiplicativeAttention(self.width, general=self.attention == "luong_general", dtype=self.dtype)

    @property
    def _feeds(self) -> bool:
        return self.attention.startswith("luong")

    def _recur(self, carry: tuple[Array, ...], inputs: list[Array]) -> tuple[tuple[Array, ...], Array]:
        x = jnp.concatenate(inputs, axis=-1)[:, None]  # one step
        states, after = self.recurrence(x, carry if self.cell == "lstm" else carry[0])
        return _parts(after), states[:, 0]

    def _context(self, query: Array, memory: Memory) -> tuple[Array, Array]:
        return self.attend(query.astype(self.dtype), memory.keys, memory.states, memory.mask)

    def _combined(self, parts: list[Array]) -> Array:
        return jnp.tanh(self.combine(jnp.concatenate(parts, axis=-1)))


def _layer(cell: Cell, features: int, dtype: DTypeLike, reverse: bool = False) -> Any:
    return {"lstm": LSTM, "gru": GRU}[cell](features, reverse=reverse, dtype=dtype)


def _parts(carry: Any) -> tuple[Array, ...]:
    """(h, c) of an LSTM, (h,) of a GRU."""
    return carry if isinstance(carry, tuple) else (carry,)
