"""Causal attention by blocks of queries, each with the keys up to its own end, and by products that a CPU is fast at.

Most of what the mask hides is not computed. And XLA's batched products on a CPU take several times as long where an
operand is read across its rows, as q k^T and three of the four products of the gradient ask for: here the small
operands (length x depth) are transposed before, the weights (queries x keys) never.
"""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Heads = Float[Array, "batch heads length depth"]

BLOCKS = 4


@jax.custom_vjp
def causal_mean_by_blocks(q: Heads, k: Heads, v: Heads) -> Heads:
    """softmax(q k^T / sqrt(depth)) v, where query i sees the keys 0 ... i alone. The softmax is float32."""
    return _forward(q, k, v)[0]


def _forward(q: Heads, k: Heads, v: Heads) -> tuple[Heads, Any]:
    keys = k.mT * k.shape[-1] ** -0.5
    weights, found = [], []
    for start, end in _blocks(q.shape[2]):
        scores = jnp.matmul(q[:, :, start:end], keys[..., :end], preferred_element_type=jnp.float32)
        hidden = jnp.arange(end) > jnp.arange(start, end)[:, None]
        own = jax.nn.softmax(jnp.where(hidden, jnp.finfo(jnp.float32).min, scores))
        weights.append(own.astype(v.dtype))
        found.append(weights[-1] @ v[:, :, :end])
    mean = jnp.concatenate(found, 2)
    return mean, (q, keys, v, weights, mean)


def _backward(saved: Any, d_mean: Heads) -> tuple[Heads, Heads, Heads]:
    q, keys, v, weights, mean = saved
    inner = (d_mean * mean).sum(-1, keepdims=True, dtype=jnp.float32)  # of each row of weights and its gradient
    rows, queries, values, d_means = keys.mT, q.mT, v.mT, d_mean.mT
    d_q, d_keys, d_values = [], jnp.zeros_like(keys), jnp.zeros_like(values)
    for (start, end), own in zip(_blocks(q.shape[2]), weights, strict=True):
        d_weights = jnp.matmul(d_mean[:, :, start:end], values[..., :end], preferred_element_type=jnp.float32)
        d_scores = (own * (d_weights - inner[:, :, start:end])).astype(q.dtype)
        d_q.append(d_scores @ rows[:, :, :end])
        d_keys = d_keys.at[..., :end].add(queries[..., start:end] @ d_scores)
        d_values = d_values.at[..., :end].add(d_means[..., start:end] @ own)
    return jnp.concatenate(d_q, 2), d_keys.mT * q.shape[-1] ** -0.5, d_values.mT


causal_mean_by_blocks.defvjp(_forward, _backward)


def _blocks(length: int) -> list[tuple[int, int]]:
    """Where each block of queries starts and ends."""
    edges = [length * number // BLOCKS for number in range(BLOCKS + 1)]
    return [(start, end) for start, end in pairwise(edges) if start < end]
