"""What an encoder-decoder model makes of sources: greedily, by beam search, at random. To be made inside a program.

Padding and begin, which follow nothing in any target, are never made, and the others' probabilities add up to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from dlvr_jax.data.pairs import BEGIN, PADDING, UNKNOWN
from dlvr_jax.tasks.sampling.beam_search import beam_search, repeated
from dlvr_jax.tasks.sampling.decoding import Logits, decode, likeliest
from dlvr_jax.tasks.sampling.token_choice import tempered
from dlvr_jax.tasks.task import State, rates

Source = Int[Array, "batch source"]
Target = Int[Array, "batch target"]
Found = tuple[Int[Array, "batch found target"], Float[Array, "batch found"]]  # sequences and their scores
Memory = Any  # what the model's encoder leaves, the batch in front


@dataclass(frozen=True)
class Translator:
    """A model with its parameters, as it is evaluated."""

    model: Any
    variables: Mapping[str, Any]
    rates: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any, state: State) -> "Translator":
        """With the state's parameters and rates."""
        return cls(model, {"params": state.params, **state.variables}, rates(state.hyper, "model"))

    def encode(self, source: Source, source_length: Int[Array, " batch"]) -> Memory:
        """What the decoder gets of the sources."""
        return self._call("encode", source, source_length)

    def logits(self, memory: Memory, target: Target) -> Float[Array, "batch target vocabulary"]:
        """Of each of the target's tokens, which follow the begin, given those before it."""
        return self._call("decode", _after_begin(target), memory)[0]

    def weights(self, memory: Memory, target: Target) -> Float[Array, "batch target source"] | None:
        """Where in the source the model looks for each of the target's tokens; None of one without attention."""
        return self._call("decode", _after_begin(target), memory)[1]

    def greedy(self, memory: Memory, length: int) -> Target:
        """One likeliest token after another."""
        return decode(partial(self._step, memory), self._cache(memory, length), _rows(memory), length, likeliest)

    def best(self, memory: Memory, width: int, length: int, penalty: float | Array) -> Found:
        """The `width` best of each source, best first: see `beam_search`."""
        many = repeated(memory, width)
        cache = self._cache(many, length)
        return beam_search(partial(self._step, many), cache, _rows(memory), width, length, penalty)

    def drawn(self, memory: Memory, count: int, length: int, temperature: float | Array, key: Key[Array, ""]) -> Found:
        """`count` random ones of each source, and log p of each at that temperature."""
        many, rows = repeated(memory, count), _rows(memory)

        def draw(logits: Logits, place: Int[Array, ""]) -> Int[Array, " rows"]:
            drawn = jax.random.categorical(jax.random.fold_in(key, place), tempered(logits, temperature))
            return drawn.astype(jnp.int32)

        flat = decode(partial(self._step, many), self._cache(many, length), rows * count, length, draw)
        log_p = jax.nn.log_softmax(tempered(_possible(self.logits(many, flat)), temperature))
        of_drawn = jnp.take_along_axis(log_p, flat[..., None], axis=-1)[..., 0]
        scores = jnp.where(flat == PADDING, 0.0, of_drawn).sum(-1)  # padding: after the end
        return flat.reshape(rows, count, length), scores.reshape(rows, count)

    def _step(self, memory: Memory, token: Int[Array, " rows"], cache: Any) -> tuple[Logits, Any]:
        logits, _, cache = self._call("step", token, cache, memory)
        return _possible(logits), cache

    def _cache(self, memory: Memory, length: int) -> Any:
        return self.model.apply(self.variables, memory, length, method="first_cache")

    def _call(self, method: str, *inputs: Any) -> Any:
        return self.model.apply(self.variables, *inputs, train=False, **self.rates, method=method)


def _possible(logits: Float[Array, "*shape vocabulary"]) -> Float[Array, "*shape vocabulary"]:
    """Without what is never made; an unknown word of a true target so counts as wrong, whatever is made."""
    return logits.at[..., jnp.array([PADDING, BEGIN, UNKNOWN])].set(-jnp.inf)


def _after_begin(target: Target) -> Target:
    """What the decoder is given when it makes these tokens."""
    return jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=BEGIN)


def _rows(memory: Memory) -> int:
    return len(jax.tree.leaves(memory)[0])
