"""Bidirectional LSTM and GRU over words: Schuster & Paliwal 1997, "Bidirectional Recurrent Neural Networks"; with LSTM:
Graves & Schmidhuber 2005. As a tagger (Huang, Xu & Yu 2015, https://arxiv.org/abs/1508.01991, the plain BI-LSTM, with
no CRF) and as a classifier of texts.

One network reads the words forwards, another backwards, and what they say of a place stands side by side: there the
whole sentence is known, not only what came before. So such a model cannot predict the next word: it has seen it.

What lies beyond a text's length is padding and changes nothing: the backward network begins at the last real word.
"""

from typing import Annotated, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.recurrence import GRU, LSTM
from dlvr_jax.schema import Between, Count, Number

Cell = Literal["lstm", "gru"]
Directions = Literal["both", "forward"]
Dropout = Annotated[Number | None, Between(0, 1)]


class Reader(nn.Module):
    """Embeds words and reads them in one or both directions, layer upon layer: `width` features for each word.

    Of both directions each has half the width, so that the twin of one direction gives as many features.
    """

    vocab_size: int
    embedding: int
    width: int
    layers: int
    cell: Cell
    directions: Directions
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array, "batch words"],
        lengths: Int[Array, " batch"],
        *,
        train: bool,
        dropout: Number | None,
    ) -> tuple[Float[Array, "batch words {self.width}"], Float[Array, "batch {self.width}"]]:
        """Features of every word, zeros at padding, and those of each direction at the end of its reading.

        Dropout acts on embeddings and between layers.
        """
        # Of variance 1 / embedding: a word's vector has length 1.
        initial = nn.initializers.variance_scaling(1.0, "fan_out", "normal")
        x = nn.Embed(self.vocab_size, self.embedding, embedding_init=initial, dtype=self.dtype, name="words")(tokens)
        for layer in range(1, self.layers + 1):
            if train and dropout is not None:
                x = drop(x, dropout, self.make_rng("dropout"))
            x, last = self._read(x, lengths, layer)
        return x, last

    def _read(
        self, x: Float[Array, "batch words _"], lengths: Int[Array, " batch"], layer: int
    ) -> tuple[Float[Array, "batch words {self.width}"], Float[Array, "batch {self.width}"]]:
        """One layer."""
        kind = {"lstm": LSTM, "gru": GRU}[self.cell]
        if self.directions == "forward":
            parts = [kind(self.width, dtype=self.dtype, name=f"forward{layer}")(x, None, lengths)]
        else:
            if self.width % 2:
                raise ValueError(f"a width of {self.width} does not split into two directions")
            ahead = kind(self.width // 2, dtype=self.dtype, name=f"forward{layer}")
            back = kind(self.width // 2, reverse=True, dtype=self.dtype, name=f"backward{layer}")
            parts = [ahead(x, None, lengths), back(x, None, lengths)]
        last = [carry[0] if self.cell == "lstm" else carry for _, carry in parts]
        return jnp.concatenate([hidden for hidden, _ in parts], -1), jnp.concatenate(last, -1)


class Tagger(nn.Module):
    """Logits of a tag for each word."""

    num_classes: int
    vocab_size: int
    embedding: Count = 64
    width: Count = 128
    layers: Annotated[int, Between(1, 16)] = 1
    cell: Cell = "lstm"
    directions: Directions = "both"
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and logits are float32

    @nn.compact
    def __call__(
        self, tokens: Int[Array, "batch words"], lengths: Int[Array, " batch"], *, train: bool, dropout: Dropout = None
    ) -> Float[Array, "batch words {self.num_classes}"]:
        """The logits, float32. `dropout` is a rate, used when `train`; it needs the random stream "dropout"."""
        x, _ = _reader(self)(tokens, lengths, train=train, dropout=dropout)
        if train and dropout is not None:
            x = drop(x, dropout, self.make_rng("dropout"))
        return _output(self.num_classes)(x.astype(jnp.float32))


class TextClassifier(nn.Module):
    """Logits of a class for each text, from its words' features pooled: their mean, their greatest, or the last.

    The last features of the backward network are those at the first word.
    """

    num_classes: int
    vocab_size: int
    embedding: Count = 64
    width: Count = 128
    layers: Annotated[int, Between(1, 16)] = 1
    cell: Cell = "lstm"
    directions: Directions = "both"
    pooling: Literal["mean", "max", "last"] = "max"
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and logits are float32

    @nn.compact
    def __call__(
        self, tokens: Int[Array, "batch words"], lengths: Int[Array, " batch"], *, train: bool, dropout: Dropout = None
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32. `dropout` is a rate, used when `train`; it needs the random stream "dropout"."""
        words, last = _reader(self)(tokens, lengths, train=train, dropout=dropout)
        x = last if self.pooling == "last" else pooled(words.astype(jnp.float32), lengths, self.pooling)
        if train and dropout is not None:
            x = drop(x, dropout, self.make_rng("dropout"))
        return _output(self.num_classes)(x)


def pooled(
    x: Float[Array, "batch words width"], lengths: Int[Array, " batch"], pooling: Literal["mean", "max"]
) -> Float[Array, "batch width"]:
    """The mean or the greatest of each feature over real words; zeros for an empty text."""
    real = (jnp.arange(x.shape[1]) < lengths[:, None])[..., None]
    if pooling == "mean":
        return jnp.where(real, x, 0).sum(1) / jnp.maximum(lengths, 1)[:, None]
    return jnp.where(lengths[:, None] > 0, jnp.where(real, x, -jnp.inf).max(1), 0)


def _reader(model: Tagger | TextClassifier) -> Reader:
    return Reader(
        model.vocab_size,
        model.embedding,
        model.width,
        model.layers,
        model.cell,
        model.directions,
        model.dtype,
        name="reader",
    )


def _output(classes: int) -> nn.Module:
    return Dense(classes, kernel_init=nn.initializers.lecun_normal(), name="output")
