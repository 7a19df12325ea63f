"""The likeliest sequences, approximately: beam search with a length penalty.

Of the extensions of all sequences of the beam the best `width` are kept, ended ones among them. The score of a sequence
of n tokens (its end counts) is log p / ((5 + n) / 6)^penalty: Wu et al. 2016, https://arxiv.org/abs/1609.08144,
equation 14, without the coverage penalty. 0 is log p itself, larger penalties favour longer sequences.

A beam of width 1 is greedy decoding; one that holds every sequence finds the best.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dlvr_jax.data.pairs import BEGIN, END, PADDING
from dlvr_jax.tasks.sampling.decoding import Step


def beam_search(
    step: Step, cache: Any, rows: int, width: int, length: int, penalty: float | Float[Array, ""]
) -> tuple[Int[Array, "{rows} {width} {length}"], Float[Array, "{rows} {width}"]]:
    """For each row `width` sequences of at most `length` tokens, best first, with their scores.

    `step` and `cache` work on rows * width rows, those of one row side by side (see `repeated`). Where there are fewer
    than `width` sequences, the others have the score -inf.
    """

    def one(beam: tuple[Any, ...], place: Int[Array, ""]) -> tuple[tuple[Any, ...], None]:
        tokens, log_p, count, done, cache = beam
        last = jnp.where(place == 0, BEGIN, tokens[:, :, place - 1])
        logits, cache = step(last.reshape(-1), cache)
        next_log_p = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(rows, width, -1)
        only_padding = jnp.where(jnp.arange(next_log_p.shape[-1]) == PADDING, 0.0, -jnp.inf)
        candidates = log_p[..., None] + jnp.where(done[..., None], only_padding, next_log_p)
        counts = count + ~done
        scores = candidates / _lengths_power(counts, penalty)[..., None]
        _, best = jax.lax.top_k(scores.reshape(rows, -1), width)
        parent, token = jnp.divmod(best, next_log_p.shape[-1])
        tokens = _taken(tokens, parent).at[:, :, place].set(token)
        done = _taken(done, parent) | (token == END)
        log_p = jnp.take_along_axis(candidates.reshape(rows, -1), best, axis=1)
        return (tokens, log_p, _taken(counts, parent), done, _reordered(cache, parent)), None

    log_p = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf) * jnp.ones((rows, 1))  # they all begin alike: one counts
    empty = jnp.full((rows, width, length), PADDING), log_p, jnp.zeros((rows, width), int), log_p > 0, cache
    (tokens, log_p, count, _, _), _ = jax.lax.scan(one, empty, jnp.arange(length))
    return tokens, log_p / _lengths_power(count, penalty)


def repeated(tree: Any, width: int) -> Any:
    """Every row `width` times, side by side."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, width, axis=0), tree)


def _lengths_power(count: Int[Array, "rows width"], penalty: float | Float[Array, ""]) -> Float[Array, "rows width"]:
    return ((5.0 + count) / 6.0) ** penalty


def _taken(leaf: Array, parent: Int[Array, "rows width"]) -> Array:
    """Of each row the entries of the sequences that were extended."""
    return jnp.take_along_axis(leaf, parent.reshape(*parent.shape, *(1,) * (leaf.ndim - 2)), axis=1)


def _reordered(cache: Any, parent: Int[Array, "rows width"]) -> Any:
    """The same of a cache with rows * width rows; scalars belong to all."""
    rows, width = parent.shape
    index = (parent + width * jnp.arange(rows)[:, None]).reshape(-1)
    return jax.tree.map(lambda leaf: leaf[index] if leaf.ndim else leaf, cache)
