"""The block that transformers repeat: attention, then a feed-forward layer, each with a residual and a layer norm.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.1: x -> norm(x + f(x)), and with a second attention in
decoders. With `norm_first`, x -> x + f(norm(x)): Xiong et al. 2020, https://arxiv.org/abs/2002.04745.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float

from dlvr_jax.layers.attention import KeysValues, Mask, MultiHeadAttention
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.layer_norm import LayerNorm
from dlvr_jax.schema import Number

Tokens = Float[Array, "batch length width"]


class FeedForward(nn.Module):
    """Two affine layers with an activation between them, for each token alone: section 3.3."""

    width: int
    hidden: int
    activation: Callable[[Array], Array]
    kernel_init: Initializer = nn.initializers.xavier_uniform()
    output_init: Initializer = nn.initializers.xavier_uniform()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        """See the class."""
        x = Dense(self.hidden, kernel_init=self.kernel_init, dtype=self.dtype, name="hidden_layer")(x)
        return Dense(self.width, kernel_init=self.output_init, dtype=self.dtype, name="output")(self.activation(x))


class Block(nn.Module):
    """Self-attention, attention over a memory where `cross`, feed-forward."""

    width: int
    num_heads: int
    hidden: int  # units of the feed-forward layer
    norm_first: bool = True
    cross: bool = False
    rotary: bool = False
    activation: Callable[[Array], Array] = nn.gelu
    epsilon: float = 1e-5  # added to the variance in the norms
    kernel_init: Initializer = nn.initializers.xavier_uniform()
    output_init: Initializer = nn.initializers.xavier_uniform()  # of the layers whose results are added to the residual
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        attention = partial(
            MultiHeadAttention,
            self.width,
            self.num_heads,
            kernel_init=self.kernel_init,
            output_init=self.output_init,
            dtype=self.dtype,
        )
        self.attention = attention(rotary=self.rotary)
        self.attention_norm = LayerNorm(self.epsilon, self.dtype)
        if self.cross:
            self.cross_attention = attention()
            self.cross_norm = LayerNorm(self.epsilon, self.dtype)
        self.feed_forward = FeedForward(
            self.width, self.hidden, self.activation, self.kernel_init, self.output_init, self.dtype
        )
        self.feed_forward_norm = LayerNorm(self.epsilon, self.dtype)

    def memory(self, x: Tokens) -> KeysValues:
        """What the second attention can look at in an encoder's output."""
        return self.cross_attention.keys_values(x)

    def __call__(
        self,
        x: Tokens,
        mask: Mask | None = None,
        *,
        causal: bool = False,
        past: KeysValues | None = None,
        start: ArrayLike = 0,
        memory: KeysValues | None = None,
        memory_mask: Bool[Array, "#batch #heads #queries #memory"] | None = None,
        train: bool,
        dropout: Number | None = None,
        attention_dropout: Number | None = None,
    ) -> tuple[Tokens, KeysValues, Float[Array, "batch heads length seen"]]:
        """The tokens after the block, what later tokens can look at, and the weights of the last attention.

        Args:
            x: tokens at the places `start`, `start + 1`, ...
            mask: of the self-attention.
            causal: whether that is `causal_mask` from the first place on.
            past: a cache, in which `x` is written from `start` on before it is looked at; None: `x` sees itself alone.
            start: see `x`.
            memory: what `memory` made, for a block with `cross`.
            memory_mask: of the attention over the memory.
            train: whether dropout acts.
            dropout: rate for what each layer adds to the residual; needs the random stream "dropout", as does the next.
            attention_dropout: rate for the attention weights.
        """
        places = jnp.asarray(start) + jnp.arange(x.shape[1])

        def within(h: Tokens) -> tuple[Any, ...]:
            seen = self.attention.keys_values(h, places)
            seen = seen if past is None else past.written(seen, start)
            found, weights = self.attention(
                h, seen, mask, causal=causal, positions=places, train=train, dropout=attention_dropout
            )
            return found, seen, weights

        def across(h: Tokens) -> tuple[Any, ...]:
            if memory is None:
                raise ValueError("a block with cross attention needs a memory")
            return self.cross_attention(h, memory, memory_mask, train=train, dropout=attention_dropout)

        add = partial(self._add, rate=dropout if train else None)
        x, seen, weights = add(x, self.attention_norm, within)
        if self.cross:
            x, weights = add(x, self.cross_norm, across)
        (x,) = add(x, self.feed_forward_norm, lambda h: (self.feed_forward(h),))
        return x, seen, weights

    def _add(
        self, x: Tokens, norm: LayerNorm, layer: Callable[[Tokens], tuple[Any, ...]], rate: Number | None
    ) -> tuple[Any, ...]:
        """The residual with what the layer finds, then what else the layer tells."""
        found, *rest = layer(norm(x) if self.norm_first else x)
        if rate is not None:
            found = drop(found, rate, self.make_rng("dropout"))
        x = computed_once(x + found)
        return (x if self.norm_first else norm(x)), *rest
