"""GPT-2: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3; layout of
https://github.com/openai/gpt-2: causal blocks with the norm first, GELU (tanh form), learned positions, and one table
for tokens and logits. 124,439,808 parameters at 12 layers, width 768, context 1,024 and 50,257 tokens.

Initialisation as there and in nanoGPT: N(0, 0.02), divided by sqrt(2 layers) where a layer adds to the residual, so
that its variance does not grow with depth; biases zero.

Deviations:
- Positions may also be sinusoids (Vaswani et al. 2017), turns of queries and keys (Su et al. 2021), or none, where
  only the causal mask tells them apart (Haviv et al. 2022, https://arxiv.org/abs/2203.16634).
- Positions begin as N(0, 0.02), as in nanoGPT; the original has 0.01.
"""

from typing import Annotated, Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.attention import KeysValues, causal_mask, empty_cache
from dlvr_jax.layers.dense import product
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.layer_norm import LayerNorm
from dlvr_jax.layers.positions import sinusoidal
from dlvr_jax.layers.transformer_block import Block
from dlvr_jax.schema import Between, Count, Number


class Cache(NamedTuple):
    """Keys and values of the tokens so far, of each block, and how many tokens those are."""

    seen: tuple[KeysValues, ...]
    position: Int[Array, ""]


class GPT(nn.Module):
    """Tokens to the logits of the token after each."""

    vocab_size: int
    context: Count = 64  # the most tokens that it sees at once
    width: Count = 128
    layers: Count = 4
    num_heads: Count = 4
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = "learned"
    remat: bool = False  # the gradient keeps what each block gets, and computes the rest again
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, softmax and logits are float32

    def setup(self) -> None:
        initial = nn.initializers.normal(0.02)
        self.token = nn.Embed(self.vocab_size, self.width, embedding_init=initial, dtype=self.dtype)
        if self.positions == "learned":
            self.place = nn.Embed(self.context, self.width, embedding_init=initial, dtype=self.dtype)
        self.blocks = [
            Block(
                self.width,
                self.num_heads,
                4 * self.width,
                rotary=self.positions == "rotary",
                kernel_init=initial,
                output_init=nn.initializers.normal(0.02 / (2 * self.layers) ** 0.5),
                dtype=self.dtype,
            )
            for _ in range(self.layers)
        ]
        self.norm = LayerNorm(1e-5, self.dtype)

    def initial_carry(self, batch_size: int) -> None:
        """Nothing passes from one window of a text to the next."""

    def initial_cache(self, batch_size: int, length: int) -> Cache:
        """Room for `length` tokens in all. Raises ValueError where that is more than the context."""
        if length > self.context:
            raise ValueError(f"there is no place for {length} tokens in a context of {self.context}")
        depth = self.width // self.num_heads
        caches = tuple(empty_cache(batch_size, self.num_heads, length, depth, self.dtype) for _ in range(self.layers))
        return Cache(caches, jnp.zeros((), jnp.int32))

    def __call__(
        self,
        tokens: Int[Array, "batch length"],
        cache: Cache | None = None,
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
        attention_dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> tuple[Float[Array, "batch length {self.vocab_size}"], Cache | None]:
        """Logits, float32, and the cache with these tokens in it.

        Args:
            tokens: at the places after those of the cache; more than fit into context or cache are an error that only
                the context's own check finds.
            cache: what `initial_cache` or an earlier call gave; None: these are the first tokens, and no more follow.
            train: whether dropout acts; it needs the random stream "dropout".
            dropout: rate for embeddings and for what each layer adds.
            attention_dropout: rate for the attention weights.
        """
        length = tokens.shape[1]
        if length > self.context:
            raise ValueError(f"there is no place for {length} tokens in a context of {self.context}")
        start = 0 if cache is None else cache.position
        keys = length if cache is None else cache.seen[0].keys.shape[2]
        mask = causal_mask(length, keys, start)
        x = self._embedded(tokens, start + jnp.arange(length))
        if train and dropout is not None:
            x = drop(x, dropout, self.make_rng("dropout"))

        def run_block(block: Block, x: Array, past: KeysValues | None) -> tuple[Array, KeysValues, Array]:
            return block(
                x,
                mask,
                causal=cache is None,
                past=past,
                start=start,
                train=train,
                dropout=dropout,
                attention_dropout=attention_dropout,
            )

        run_block = nn.remat(run_block) if self.remat else run_block
        seen = []
        for number, block in enumerate(self.blocks):
            x, own, _ = run_block(block, x, None if cache is None else cache.seen[number])
            seen.append(own)
        x = self.norm(x)
        self.sow("intermediates", "features", x)
        table = jnp.asarray(self.token.embedding, self.dtype)
        logits = product(x, table.T, preferred_element_type=jnp.float32)
        return logits, None if cache is None else Cache(tuple(seen), cache.position + length)

    def _embedded(
        self, tokens: Int[Array, "batch length"], places: Int[Array, " length"]
    ) -> Float[Array, "batch length {self.width}"]:
        x = self.token(tokens)
        if self.positions == "learned":
            return x + self.place(places)
        return x + sinusoidal(places, self.width).astype(self.dtype) if self.positions == "sinusoidal" else x
