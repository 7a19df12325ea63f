"""Sequences from a model that says what comes next, one token after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dlvr_jax.data.pairs import BEGIN, END, PADDING

Logits = Float[Array, "rows vocabulary"]
Step = Callable[[Int[Array, " rows"], Any], tuple[Logits, Any]]  # (last token, cache) -> (logits of the next, cache)
Choose = Callable[[Logits, Int[Array, ""]], Int[Array, " rows"]]  # (logits, place) -> next token


def decode(step: Step, cache: Any, rows: int, length: int, choose: Choose) -> Int[Array, "{rows} {length}"]:
    """At most `length` tokens for each row, the end among them where it was reached, then padding."""

    def one(carry: tuple[Any, ...], place: Int[Array, ""]) -> tuple[tuple[Any, ...], Int[Array, " rows"]]:
        token, done, cache = carry
        logits, cache = step(token, cache)
        token = jnp.where(done, PADDING, choose(logits, place))
        return (token, done | (token == END), cache), token

    first = jnp.full(rows, BEGIN), jnp.zeros(rows, bool), cache
    _, tokens = jax.lax.scan(one, first, jnp.arange(length))
    return tokens.swapaxes(0, 1)


def likeliest(logits: Logits, place: Int[Array, ""]) -> Int[Array, " rows"]:
    """Greedy decoding."""
    return logits.argmax(-1).astype(jnp.int32)
