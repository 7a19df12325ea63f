"""p(token | the tokens before it), learned by cross-entropy with the true past as input (teacher forcing).

A language model is a Linen module with

    __call__(tokens, carry=None, *, train, <rates>) -> (logits, carry)

        Logits (batch, length, vocabulary), float32; those at t are of the token after t, out of tokens[:, : t + 1] and
        the carry alone. Any length from 1 on. The carry that comes out has the form of the one that went in, so that it
        can take its place; without one, the text begins here.

    initial_carry(batch_size) -> carry

        What passes from a window of a text to the next, before the first: every leaf has a leading axis of rows. None
        for a model that sees one window only.

    initial_cache(batch_size, length) -> carry

        A carry for generation, with room for `length` tokens; models with an `initial_carry` return that.

    context

        The most tokens that it sees at once, None without limit.

The latter three need no parameters. With `data.order = streams` the carry passes from batch to batch, but no gradient
does: backpropagation through time, truncated at the window (Williams & Peng 1990, doi 10.1162/neco.1990.2.4.490). With
shuffled windows each begins anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from dlvr_jax.data.spelling import token_sizes
from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.displays import Display, Text
from dlvr_jax.errors import UserError
from dlvr_jax.layers.through_time import where_rows
from dlvr_jax.metrics.language import finish_language
from dlvr_jax.schema import Between
from dlvr_jax.tasks.sampling.generation import Choice, generate
from dlvr_jax.tasks.shown.language import by_position, guessed, hardest, surprise
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Direction,
    Keys,
    Outputs,
    Params,
    Purpose,
    Ratio,
    State,
    Sums,
    Variables,
    rates,
)

Targets = Int[Array, "batch length"]


@dataclass(frozen=True)
class LanguageModel:
    """The next token of a text. Losses are in nats a token."""

    model: Any
    tokenizer: Tokenizer
    directions: ClassVar[Mapping[str, Direction]] = {
        "loss": "lower",
        "perplexity": "lower",
        "bits_per_character": "lower",
        "bits_per_byte": "lower",
        "accuracy": "higher",
    }

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, batch["tokens"][:, :-1], train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective: that of the model in streams, nothing otherwise."""
        return self.model.initial_carry(len(batch["tokens"])) if "reset" in batch else None

    def loss(
        self, params: Params, state: State, batch: Batch, keys: Keys
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective."""
        (logits, carry), after = self.model.apply(
            {"params": params, **state.variables},
            batch["tokens"][:, :-1],
            self._continued(state.carry, batch),
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        sums = self._sums(logits, batch)
        return sums["loss"], (after, self._kept(carry, batch), {name: sums[name] for name in ("loss", "accuracy")})

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: of each target the "loss" (nats) and the token likeliest before it was seen, "prediction".

        Each window by itself. Beyond an example's "length" the loss is zero.
        """
        logits, _ = self._logits(state, batch, None)
        real = jnp.arange(logits.shape[1]) < batch["length"][:, None]
        return {"loss": jnp.where(real, _losses(logits, _targets(batch)), 0), "prediction": logits.argmax(-1)}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. Of each window the mean loss, so that the hardest can be found."""
        logits, after = self._logits(state, batch, self._continued(carry, batch))
        sums, losses, real = self._sums(logits, batch), _losses(logits, _targets(batch)), _real(batch)
        characters, in_bytes = (jnp.asarray(sizes)[_targets(batch)] for sizes in token_sizes(self.tokenizer))
        sums["characters"], sums["bytes"] = _ratio(characters, real), _ratio(in_bytes, real)
        sums["loss_by_position"] = jnp.where(real, losses, 0).sum(0), real.sum(0, dtype=jnp.float32)
        outputs = {
            "index": batch["index"],
            "loss": jnp.where(real, losses, 0).sum(1) / jnp.maximum(real.sum(1), 1),
        }
        return sums, outputs, self._kept(after, batch)

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Objective."""
        return finish_language(sums)

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: the loss by the place in the window, and the windows with the greatest and least loss."""
        return {
            "loss_by_position": by_position(sums["loss_by_position"]),
            "hardest": hardest(self.tokenizer, outputs, examples),
        }

    def sample(
        self,
        state: State,
        seed: int,
        *,
        prompt: str | None = None,
        count: Annotated[int, Between(1, 64)] = 3,
        length: Annotated[int, Between(1, 100_000)] = 400,
        temperature: Annotated[float, Between(0, 100)] = 1.0,
        top_k: Annotated[int, Between(1, None)] | None = None,
        top_p: Annotated[float, Between(0, 1)] | None = None,
    ) -> dict[str, Display]:
        """See Objective: `count` texts of `length` tokens after the prompt; without one, after a line end."""
        known = self._prompt(prompt)
        choice = Choice(temperature, None if top_k is None else min(top_k, self.tokenizer.size), top_p)
        key = Keys(seed, 0).shared(Purpose.SAMPLING)
        tokens = generate(self.model, state, np.tile(np.array(known, np.int32), (count, 1)), length, key, choice)
        skipped = len(known) if prompt is None else 0
        return {"text": Text(tuple(self.tokenizer.decode(map(int, row[skipped:])) for row in tokens), "Text")}

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Objective: the windows with what the model would have said, and how much each token surprises it."""
        return {
            "guesses": guessed(self.tokenizer, batch, outputs),
            "surprise": surprise(self.tokenizer, batch, outputs),
        }

    def _logits(self, state: State, batch: Batch, carry: Carry) -> tuple[Float[Array, "batch length _"], Carry]:
        logits, after = self.model.apply(
            {"params": state.params, **state.variables},
            batch["tokens"][:, :-1],
            carry,
            train=False,
            **rates(state.hyper, "model"),
        )
        return logits, after

    def _continued(self, carry: Carry, batch: Batch) -> Carry:
        """Rows that start anew forget what was before."""
        if "reset" not in batch:
            return None
        return where_rows(batch["reset"], self.model.initial_carry(len(batch["tokens"])), carry)

    def _kept(self, carry: Carry, batch: Batch) -> Carry:
        """What passes on to the next batch."""
        return jax.lax.stop_gradient(carry) if "reset" in batch else None

    def _sums(self, logits: Float[Array, "batch length _"], batch: Batch) -> Sums:
        targets, real = _targets(batch), _real(batch)
        return {
            "loss": _ratio(_losses(logits, targets), real),
            "accuracy": _ratio(logits.argmax(-1) == targets, real),
        }

    def _prompt(self, prompt: str | None) -> list[int]:
        """At least one token, since a text begins with one: where no line end is known, the first of all tokens."""
        if prompt == "":
            raise UserError("--prompt: is empty; leave it out, or give some text")
        if prompt is not None:
            try:
                return self.tokenizer.encode(prompt)
            except UserError as error:
                raise UserError(f"--prompt: {error}") from None
        try:
            return self.tokenizer.encode("\n") or [0]
        except UserError:
            return [0]


def _targets(batch: Batch) -> Targets:
    return batch["tokens"][:, 1:]


def _real(batch: Batch) -> Bool[Array, "batch length"]:
    """Which targets count: those within the window's length, of real examples."""
    places = jnp.arange(batch["tokens"].shape[1] - 1)
    return batch["mask"][:, None] & (places < batch["length"][:, None])


def _losses(logits: Float[Array, "batch length _"], targets: Targets) -> Float[Array, "batch length"]:
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def _ratio(values: Array, real: Bool[Array, "batch length"]) -> Ratio:
    """The sum over real targets, and their count."""
    return jnp.where(real, values, 0).sum(dtype=jnp.float32), real.sum(dtype=jnp.float32)
