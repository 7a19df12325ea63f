"""Transformer: Vaswani et al. 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762, section 3, figure 1.

An encoder whose tokens all see each other, and a decoder whose tokens see those before them and the encoder's output.
The base model of table 3 is layers 6, width 512, heads 8, hidden 2,048. With one table of 37,000 tokens for both
languages it has 63,082,496 parameters (the paper says 65 million), of which 44,138,496 are not in the table.

Deviations:
- The source and the target have tables of their own; as in the paper, the target's also gives the logits.
- `norm_first` (off in the paper) puts the norms before the layers and one more at the end of each stack: Xiong et al.
  2020, https://arxiv.org/abs/2002.04745. It trains without warm-up.
- Dropout on the attention weights, as in the authors' code, has a rate of its own.
- Tables begin as N(0, 1 / width) and are multiplied by sqrt(width), as in the authors' code; the paper has only the
  latter. Other layers begin in Xavier's uniform range.
"""

from typing import Annotated, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.attention import KeysValues, causal_mask, empty_cache, padding_mask
from dlvr_jax.layers.dense import product
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.layer_norm import LayerNorm
from dlvr_jax.layers.positions import sinusoidal
from dlvr_jax.layers.transformer_block import Block
from dlvr_jax.schema import Between, Count, Number

Rate = Annotated[Number | None, Between(0, 1)]
Logits = Float[Array, "batch target {self.target_vocab_size}"]
Weights = Float[Array, "batch target source"]


class Memory(NamedTuple):
    """What the decoder knows of the source: keys and values for each of its blocks, and how many tokens are real."""

    seen: tuple[KeysValues, ...]
    source_length: Int[Array, " batch"]


class Cache(NamedTuple):
    """Keys and values of the target so far, of each block, and how many tokens that is."""

    seen: tuple[KeysValues, ...]
    position: Int[Array, ""]


class Transformer(nn.Module):
    """Source and target tokens to the logits of each next target token."""

    vocab_size: int  # of the source
    target_vocab_size: int
    width: Count = 128
    layers: Count = 3  # in the encoder, and as many in the decoder
    num_heads: Count = 4
    hidden: Count | None = None  # units of the feed-forward layers; None: 4 times the width
    norm_first: bool = False
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, softmax and logits are float32

    def setup(self) -> None:
        table = nn.initializers.normal(self.width**-0.5)
        self.source_token = nn.Embed(self.vocab_size, self.width, embedding_init=table, dtype=self.dtype)
        self.target_token = nn.Embed(self.target_vocab_size, self.width, embedding_init=table, dtype=self.dtype)
        self.encoder = [self._block(cross=False) for _ in range(self.layers)]
        self.decoder = [self._block(cross=True) for _ in range(self.layers)]
        if self.norm_first:
            self.encoder_norm, self.decoder_norm = LayerNorm(1e-5, self.dtype), LayerNorm(1e-5, self.dtype)

    def __call__(
        self,
        source: Int[Array, "batch source"],
        source_length: Int[Array, " batch"],
        target_in: Int[Array, "batch target"],
        *,
        train: bool,
        dropout: Rate = None,
        attention_dropout: Rate = None,
    ) -> tuple[Logits, Weights]:
        """Logits, float32, of the token after each of `target_in`, and the weights of `decode`.

        When `train`, `dropout` (of embeddings and of what each layer adds) and `attention_dropout` (of attention
        weights) are rates in [0, 1], which need the random stream "dropout".
        """
        memory = self.encode(source, source_length, train=train, dropout=dropout, attention_dropout=attention_dropout)
        return self.decode(target_in, memory, train=train, dropout=dropout, attention_dropout=attention_dropout)

    def encode(
        self,
        source: Int[Array, "batch source"],
        source_length: Int[Array, " batch"],
        *,
        train: bool,
        dropout: Rate = None,
        attention_dropout: Rate = None,
    ) -> Memory:
        """What the decoder can look at; places from `source_length` on are padding, which changes nothing."""
        mask = padding_mask(source_length, source.shape[1])
        x = self._embedded(self.source_token, source, 0, dropout if train else None)
        for block in self.encoder:
            x, _, _ = block(x, mask, train=train, dropout=dropout, attention_dropout=attention_dropout)
        x = self.encoder_norm(x) if self.norm_first else x
        return Memory(tuple(block.memory(x) for block in self.decoder), source_length)

    def decode(
        self,
        target_in: Int[Array, "batch target"],
        memory: Memory,
        *,
        train: bool,
        dropout: Rate = None,
        attention_dropout: Rate = None,
    ) -> tuple[Logits, Weights]:
        """Logits, float32, of the token after each, all at once; and where in the source each target token looked.

        The weights are those of the last block, the mean of its heads; rows sum to 1.
        """
        logits, weights, _ = self._decoded(target_in, memory, None, train, dropout, attention_dropout)
        return logits, weights

    def first_cache(self, memory: Memory, length: int) -> Cache:
        """Room for `length` calls of `step`."""
        batch, heads, _, depth = memory.seen[0].keys.shape
        caches = tuple(empty_cache(batch, heads, length, depth, self.dtype) for _ in range(self.layers))
        return Cache(caches, jnp.zeros((), jnp.int32))

    def step(
        self,
        token: Int[Array, " batch"],
        cache: Cache,
        memory: Memory,
        *,
        train: bool,
        dropout: Rate = None,
        attention_dropout: Rate = None,
    ) -> tuple[Float[Array, "batch {self.target_vocab_size}"], Float[Array, "batch source"], Cache | None]:
        """One more token: what `decode` gives for its place, and the cache with the token in it."""
        logits, weights, after = self._decoded(token[:, None], memory, cache, train, dropout, attention_dropout)
        return logits[:, 0], weights[:, 0], after

    def _decoded(
        self,
        target: Int[Array, "batch target"],
        memory: Memory,
        cache: Cache | None,
        train: bool,
        dropout: Rate,
        attention_dropout: Rate,
    ) -> tuple[Logits, Weights, Cache | None]:
        """Tokens at the places after those of the cache, which then holds them too."""
        length, start = target.shape[1], 0 if cache is None else cache.position
        mask = causal_mask(length, length if cache is None else cache.seen[0].keys.shape[2], start)
        source_mask = padding_mask(memory.source_length, memory.seen[0].keys.shape[2])
        x = self._embedded(self.target_token, target, start, dropout if train else None)
        seen, weights = [], jnp.zeros(())
        for number, block in enumerate(self.decoder):
            x, own, weights = block(
                x,
                mask,
                causal=cache is None,
                past=None if cache is None else cache.seen[number],
                start=start,
                memory=memory.seen[number],
                memory_mask=source_mask,
                train=train,
                dropout=dropout,
                attention_dropout=attention_dropout,
            )
            seen.append(own)
        x = self.decoder_norm(x) if self.norm_first else x
        table = jnp.asarray(self.target_token.embedding, self.dtype)
        logits = product(x, table.T, preferred_element_type=jnp.float32)
        return logits, weights.mean(1), None if cache is None else Cache(tuple(seen), cache.position + length)

    def _embedded(
        self, table: nn.Embed, tokens: Int[Array, "batch length"], start: ArrayLike, rate: Rate
    ) -> Float[Array, "batch length {self.width}"]:
        """Section 3.4 and 3.5: sqrt(width) times the table's row, plus the position."""
        places = jnp.asarray(start) + jnp.arange(tokens.shape[1])
        x = table(tokens) * self.width**0.5 + sinusoidal(places, self.width).astype(self.dtype)
        return x if rate is None else drop(x, rate, self.make_rng("dropout"))

    def _block(self, cross: bool) -> Block:
        return Block(
            self.width,
            self.num_heads,
            self.hidden or 4 * self.width,
            norm_first=self.norm_first,
            cross=cross,
            activation=nn.relu,
            dtype=self.dtype,
        )
