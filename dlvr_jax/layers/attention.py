"""Scaled dot-product attention and its multi-head form: Vaswani et al. 2017, "Attention Is All You Need",
https://arxiv.org/abs/1706.03762, section 3.2.

A mask is true where a query may look at a key. Keys and values are computed apart from the attention itself, so that a
decoder can keep those of the past (a cache) and those of a memory instead of computing them anew for every token.
"""

from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from dlvr_jax.layers.causal_blocks import Heads, causal_mean_by_blocks
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.positions import rotated
from dlvr_jax.schema import Number

Mask = Bool[Array, "#batch #heads #queries #keys"]

LENGTH_FOR_BLOCKS = 96  # from here on blocks of queries are faster on a CPU: docs/performance.md


class KeysValues(NamedTuple):
    """What can be looked at: `values[..., i, :]` is found under `keys[..., i, :]`. As a cache, its end is unwritten."""

    keys: Heads
    values: Heads

    def written(self, new: "KeysValues", start: ArrayLike) -> "KeysValues":
        """With `new` in the places from `start` on; what would not fit is moved back, so see that it fits."""
        return KeysValues(
            *(jax.lax.dynamic_update_slice_in_dim(old, one, start, 2) for old, one in zip(self, new, strict=True))
        )


def empty_cache(batch: int, heads: int, length: int, depth: int, dtype: DTypeLike) -> KeysValues:
    """A cache of `length` places with nothing in it."""
    return KeysValues(*(jnp.zeros((batch, heads, length, depth), dtype) for _ in range(2)))


def causal_mask(queries: int, keys: int, start: ArrayLike = 0) -> Bool[Array, "1 1 queries keys"]:
    """Query i stands at place `start + i` and sees every place up to its own."""
    return (jnp.arange(keys) <= (start + jnp.arange(queries))[:, None])[None, None]


def padding_mask(lengths: Int[Array, " batch"], keys: int) -> Bool[Array, "batch 1 1 keys"]:
    """Every query sees the first `lengths` places of its row."""
    return (jnp.arange(keys) < lengths[:, None])[:, None, None]


def attention_weights(
    q: Float[Array, "batch heads queries depth"], k: Float[Array, "batch heads keys depth"], mask: Mask | None = None
) -> Float[Array, "batch heads queries keys"]:
    """softmax(q k^T / sqrt(depth)), float32. Rows sum to 1, or are zero where the mask shows a query nothing."""
    scale = q.shape[-1] ** -0.5
    scores = jnp.einsum("bhqd,bhkd->bhqk", q * scale, k, preferred_element_type=jnp.float32)
    if mask is None:
        return jax.nn.softmax(scores)
    # The lowest number, not minus infinity: a row of these has no NaN in its gradient.
    hidden = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    return jnp.where(mask, jax.nn.softmax(hidden), 0)


def attend(
    q: Float[Array, "batch heads queries depth"],
    k: Float[Array, "batch heads keys depth"],
    v: Float[Array, "batch heads keys depth"],
    mask: Mask | None = None,
    *,
    causal: bool = False,
    dropout: Number | None = None,
    key: Key[Array, ""] | None = None,
) -> tuple[Float[Array, "batch heads queries depth"], Float[Array, "batch heads queries keys"]]:
    """The mean of the values by `attention_weights`, and those weights, which cost nothing where nobody uses them.

    `dropout` (needs `key`) zeroes weights that are used, not those that are returned. `causal` says that the mask is
    `causal_mask` from the first place on: then the mean may be computed without all of the weights.
    """
    weights = used = attention_weights(q, k, mask)
    if dropout is not None and key is not None:
        used = drop(weights, dropout, key)
    elif causal and _suits_cudnn(q):
        return causal_mean(q, k, v, "cudnn"), weights
    elif causal and jax.default_backend() == "cpu" and q.shape[2] >= LENGTH_FOR_BLOCKS:
        return causal_mean_by_blocks(q, k, v), weights
    return jnp.einsum("bhqk,bhkd->bhqd", used.astype(v.dtype), v), weights


def causal_mean(q: Heads, k: Heads, v: Heads, implementation: Literal["xla", "cudnn"]) -> Heads:
    """`attend` under a causal mask, without the weights ("cudnn": Dao et al. 2022, https://arxiv.org/abs/2205.14135)."""
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=implementation).swapaxes(1, 2)


def _suits_cudnn(q: Heads) -> bool:
    """Whether cuDNN has a kernel for such queries, and keys as many: 16-bit numbers, whole tiles, Ampere or newer."""
    *_, length, depth = q.shape
    if q.dtype not in (jnp.bfloat16, jnp.float16) or length % 64 or depth % 8 or depth > 128:
        return False
    capability = str(getattr(jax.devices()[0], "compute_capability", ""))  # "9.0"; AMD's are names
    return jax.default_backend() == "gpu" and capability.partition(".")[0].isdecimal() and float(capability) >= 8


class MultiHeadAttention(nn.Module):
    """Attention in `num_heads` subspaces of `width / num_heads` axes each: section 3.2.2.

    The weights (batch heads queries keys) are also sown as "attention" into "intermediates", for pictures.
    """

    width: int
    num_heads: int
    rotary: bool = False  # queries and keys are turned by their positions
    kernel_init: Initializer = nn.initializers.xavier_uniform()
    output_init: Initializer = nn.initializers.xavier_uniform()
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and softmax are float32

    def setup(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"a width of {self.width} does not split into {self.num_heads} heads")
        self.query, self.key, self.value = (
            Dense(self.width, kernel_init=self.kernel_init, dtype=self.dtype) for _ in range(3)
        )
        self.output = Dense(self.width, kernel_init=self.output_init, dtype=self.dtype)

    def keys_values(
        self, x: Float[Array, "batch length width"], positions: Int[Array, " length"] | None = None
    ) -> KeysValues:
        """What others can look at in `x`. `positions` (default 0, 1, ...) matter for rotary attention only."""
        keys = self._split(self.key(x))
        return KeysValues(rotated(keys, positions) if self.rotary else keys, self._split(self.value(x)))

    def __call__(
        self,
        x: Float[Array, "batch queries width"],
        seen: KeysValues,
        mask: Mask | None = None,
        *,
        causal: bool = False,
        positions: Int[Array, " queries"] | None = None,
        train: bool,
        dropout: Number | None = None,
    ) -> tuple[Float[Array, "batch queries width"], Float[Array, "batch heads queries keys"]]:
        """What each query finds in `seen` (`keys_values` of itself, of a memory, or a cache), and the weights.

        `causal`: see `attend`.
        """
        q = self._split(self.query(x))
        q = rotated(q, positions) if self.rotary else q
        key = self.make_rng("dropout") if train and dropout is not None else None
        found, weights = attend(q, seen.keys, seen.values, mask, causal=causal, dropout=dropout, key=key)
        self.sow("intermediates", "attention", weights)
        return self.output(found.swapaxes(1, 2).reshape(x.shape)), weights

    def _split(self, x: Float[Array, "batch length width"]) -> Heads:
        batch, length, _ = x.shape
        return x.reshape(batch, length, self.num_heads, -1).swapaxes(1, 2)
