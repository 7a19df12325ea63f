"""Text from a language model, one token after another. Its interface: `language_model.py`."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from dlvr_jax.schema import Number
from dlvr_jax.tasks.sampling.token_choice import drawn
from dlvr_jax.tasks.task import State, rates


class Choice(NamedTuple):
    """How a token is drawn: see `token_choice.drawn`."""

    temperature: Number
    k: int | None
    p: Number | None


def generate(
    model: Any, state: State, prompts: Int[np.ndarray, "rows known"], length: int, key: Key[Array, ""], choice: Choice
) -> Int[np.ndarray, "rows _"]:
    """The prompts, at least one token long, with `length` tokens behind each.

    A model that sees at most `context` tokens starts again with the last half of them each time that these are full.
    """
    tokens, total = prompts, prompts.shape[1] + length
    weights = state.params, state.variables, rates(state.hyper, "model")
    while tokens.shape[1] < total:
        read, window = tokens.shape[1], total - 1
        if model.context is not None:
            read, window = read if read < model.context else max(model.context // 2, 1), min(model.context, window)
        known = np.zeros((len(tokens), window), np.int32)
        known[:, :read] = tokens[:, -read:]
        draw = jax.random.fold_in(key, tokens.shape[1]), choice.temperature, choice.p
        after = np.asarray(_continued(model, weights, known, jnp.int32(read), draw, k=choice.k))
        tokens = np.concatenate([tokens, after[:, read - 1 : read - 1 + total - tokens.shape[1]]], 1)
    return tokens


@partial(jax.jit, static_argnames=("model", "k"))
def _continued(
    model: Any,
    weights: Any,
    known: Int[Array, "rows window"],
    count: Int[Array, ""],
    draw: tuple[Key[Array, ""], Number, Number | None],
    *,
    k: int | None,
) -> Int[Array, "rows window"]:
    """The token after each place: the known one where there is one, beyond the first `count` a drawn one."""
    (params, variables, hyper), (key, temperature, p) = weights, draw
    rows, window = known.shape

    def step(scanned: tuple[Any, Any], place: Int[Array, ""]) -> tuple[tuple[Any, Any], Int[Array, " rows"]]:
        cache, token = scanned
        token = jnp.where(place < count, known[:, place], token)
        logits, cache = model.apply({"params": params, **variables}, token[:, None], cache, train=False, **hyper)
        token = drawn(logits[:, 0], jax.random.fold_in(key, place), temperature, k, p)
        return (cache, token), token

    first = model.initial_cache(rows, window), known[:, 0]
    _, after = jax.lax.scan(step, first, jnp.arange(window))
    return after.swapaxes(0, 1)
