"""Causal attention by blocks of queries, each with the keys up to its own end, and by products that a CPU is fast at.

Most of what the mask hides is not computed. And XLA's batched products on a CPU take several times as long where an
operand is read across its rows, as q k^T and three of the four products of the gradient ask for: here the small
operands (length x depth) are transposed before, the weights (queries x keys) never.
"""

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Heads = Float[Array, "batch heads length depth"]

BLOCKS = 4  # 2 and 8 are slower at 256 tokens: docs/performance.md


@jax.custom_vjp
def causal_mean_by_blocks(q: Heads, k: Heads, v: Heads) -> Heads:
    """P v for P = softmax(q k^T / sqrt(depth)), where query i sees the keys 0 ... i alone. Reverse mode only.

    The softmax is float32; its weights are kept in the dtype of `v`. Their gradient needs no other sum over the keys
    than that of the mean: dS = P * (dP - rowsum(dO * O)), Dao et al. 2022, https://arxiv.org/abs/2205.14135.
    """
    return _forward(q, k, v)[0]


def _forward(q: Heads, k: Heads, v: Heads) -> tuple[Heads, Any]:
    k_t = k.mT * k.shape[-1] ** -0.5
    weights, found = [], []
    for start, end in _blocks(q.shape[2]):
        scores = jnp.matmul(q[:, :, start:end], k_t[..., :end], preferred_element_type=jnp.float32)
        hidden = jnp.arange(end) > jnp.arange(start, end)[:, None]
        own = jax.nn.softmax(jnp.where(hidden, jnp.finfo(jnp.float32).min, scores))
        weights.append(own.astype(v.dtype))
        found.append(weights[-1] @ v[:, :, :end])
    mean = jnp.concatenate(found, 2)
    return mean, (q, k_t, v, weights, mean)


def _backward(saved: Any, d_mean: Heads) -> tuple[Heads, Heads, Heads]:
    q, k_t, v, weights, mean = saved
    row_sums = (d_mean.astype(jnp.float32) * mean).sum(-1, keepdims=True)
    k, q_t, v_t, d_mean_t = k_t.mT, q.mT, v.mT, d_mean.mT
    product = partial(jnp.matmul, preferred_element_type=jnp.float32)
    d_q, d_k_t, d_v_t = [], jnp.zeros(k_t.shape), jnp.zeros(v_t.shape)
    for (start, end), own in zip(_blocks(q.shape[2]), weights, strict=True):
        d_weights = product(d_mean[:, :, start:end], v_t[..., :end])
        d_scores = (own * (d_weights - row_sums[:, :, start:end])).astype(q.dtype)
        d_q.append(d_scores @ k[:, :, :end])
        d_k_t = d_k_t.at[..., :end].add(product(q_t[..., start:end], d_scores))
        d_v_t = d_v_t.at[..., :end].add(product(d_mean_t[..., start:end], own))
    d_k = d_k_t.mT * q.shape[-1] ** -0.5
    return jnp.concatenate(d_q, 2), d_k.astype(q.dtype), d_v_t.mT.astype(v.dtype)


causal_mean_by_blocks.defvjp(_forward, _backward)


def _blocks(length: int) -> list[tuple[int, int]]:
    """Where each block of queries starts and ends."""
    edges = [length * number // BLOCKS for number in range(BLOCKS + 1)]
    return [(start, end) for start, end in pairwise(edges) if start < end]
