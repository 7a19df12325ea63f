"""The language model: carries, resets, padding, truncated gradients, metrics, and the text that it makes."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.data.tokenizers import Bytes, Characters
from dlvr_jax.displays import HeatMap, Text
from dlvr_jax.errors import UserError
from dlvr_jax.models.modern_rnn.lstm import LSTM
from dlvr_jax.models.transformer.gpt import GPT
from dlvr_jax.tasks.language_model import LanguageModel
from dlvr_jax.tasks.task import Keys, State

ALPHABET = "\nabcdefg"
ROWS, LENGTH = 3, 6
F32 = dict(rtol=1e-5, atol=1e-6)  # numbers of order 1, sums in another order
TASK = LanguageModel(LSTM(len(ALPHABET), 5, 7), Characters(ALPHABET))


def batch_of(seed: int = 0, length: int = LENGTH, reset: bool | None = True) -> dict:
    """Random windows; with `reset` None they are shuffled ones."""
    tokens = np.random.default_rng(seed).integers(0, len(ALPHABET), (ROWS, length + 1))
    batch = {
        "tokens": jnp.array(tokens, jnp.int32),
        "length": jnp.full(ROWS, length, jnp.int32),
        "mask": jnp.ones(ROWS, bool),
        "index": jnp.arange(ROWS),
    }
    return batch if reset is None else batch | {"reset": jnp.full(ROWS, reset)}


@jax.jit
def evaluate(state: State, batch, carry):
    return TASK.evaluate(state, batch, carry)


def state_of(task=TASK, batch=None) -> State:
    batch = batch_of() if batch is None else batch
    params, variables = jax.jit(task.init)(jax.random.key(0), batch)
    zero = jnp.zeros((), jnp.int32)
    carry = task.initial_carry(jax.random.key(0), batch)
    return State(params, variables, None, None, carry, {}, jnp.uint32(0), zero, zero)


def test_two_windows_with_a_carry_are_one_long_window() -> None:
    state, whole = state_of(), batch_of(length=2 * LENGTH)
    both = evaluate(state, whole, state.carry)[0]
    carry, found = state.carry, []
    for place, reset in ((slice(0, LENGTH + 1), True), (slice(LENGTH, None), False)):
        part = batch_of(reset=reset) | {"tokens": whole["tokens"][:, place]}
        sums, _, carry = evaluate(state, part, carry)
        found.append(sums)
    for name in ("loss", "accuracy", "characters", "bytes"):
        for which in (0, 1):
            np.testing.assert_allclose(found[0][name][which] + found[1][name][which], both[name][which], **F32)


def test_rows_that_start_anew_forget() -> None:
    state = state_of()
    _, _, carry = evaluate(state, batch_of(1), state.carry)
    reset = jnp.array([True, False, True])
    _, mixed, _ = evaluate(state, batch_of(2) | {"reset": reset}, carry)
    _, fresh, _ = evaluate(state, batch_of(2), state.carry)
    _, going_on, _ = evaluate(state, batch_of(2, reset=False), carry)
    np.testing.assert_array_equal(mixed["loss"], np.where(reset, fresh["loss"], going_on["loss"]))
    assert (fresh["loss"] != going_on["loss"]).all()


def test_shuffled_windows_have_no_carry() -> None:
    batch = batch_of(reset=None)
    state = state_of(batch=batch)
    assert state.carry is None
    sums, _, carry = evaluate(state, batch, None)
    assert carry is None
    np.testing.assert_array_equal(sums["loss"], evaluate(state, batch_of(), state_of().carry)[0]["loss"])


def test_padding_changes_nothing() -> None:
    state, batch = state_of(), batch_of()
    batch |= {"length": jnp.array([LENGTH, 2, LENGTH]), "mask": jnp.array([True, True, False])}
    real = jnp.arange(LENGTH + 1) <= batch["length"][:, None]
    noisy = batch | {"tokens": jnp.where(real & batch["mask"][:, None], batch["tokens"], 7)}
    found, other = (evaluate(state, one, state.carry)[0] for one in (batch, noisy))
    jax.tree.map(np.testing.assert_array_equal, found, other)
    assert found["loss"][1] == LENGTH + 2
    (total, count), _ = TASK.loss(state.params, state, batch, Keys(0, 0))
    np.testing.assert_allclose((total, count), found["loss"], **F32)
    predicted = TASK.predict(state, batch)
    np.testing.assert_allclose(predicted["loss"][:2].sum(), found["loss"][0], **F32)


def test_no_gradient_passes_the_border_of_a_window() -> None:
    """The carry is as it is: of a second window's loss, only its own steps see the parameters."""
    state = state_of()

    def second(params, through: bool) -> jax.Array:
        _, (_, carry, _) = TASK.loss(params, state, batch_of(1), Keys(0, 0))
        carry = carry if through else jax.lax.stop_gradient(carry)
        after = dataclasses.replace(state, carry=carry)
        return TASK.loss(params, after, batch_of(2, reset=False), Keys(0, 0))[0][0]

    jax.tree.map(
        np.testing.assert_array_equal,
        *(jax.jit(jax.grad(second), static_argnums=1)(state.params, through) for through in (True, False)),
    )


def test_metrics_of_a_model_that_knows_nothing() -> None:
    state = state_of()
    state = dataclasses.replace(state, params=jax.tree.map(jnp.zeros_like, state.params))
    sums, outputs, _ = evaluate(state, batch_of(), state.carry)
    found = TASK.finish(state, jax.tree.map(np.float64, sums), outputs)
    assert found["perplexity"] == pytest.approx(len(ALPHABET), rel=1e-6)
    assert found["bits_per_character"] == found["bits_per_byte"] == pytest.approx(3, rel=1e-6)
    assert set(TASK.directions) <= set(found)


def test_bits_of_bytes_are_shared_by_the_characters() -> None:
    task = LanguageModel(LSTM(256, 4, 4), Bytes())
    ids = jnp.array([task.tokenizer.encode("xäöü")] * ROWS)  # three targets of two bytes each
    batch = batch_of() | {"tokens": ids, "length": jnp.full(ROWS, 6)}
    state = state_of(task, batch)
    sums, outputs, _ = task.evaluate(state, batch, state.carry)
    found = task.finish(state, jax.tree.map(np.float64, sums), outputs)
    assert found["bits_per_character"] == pytest.approx(2 * found["bits_per_byte"])


class LastTwo(nn.Module):
    """The next token is the sum of the last two that it saw, of at most `context`; before the first stands token 1."""

    vocab_size: int
    context: int
    initial: ClassVar[int] = 1

    def initial_carry(self, batch_size: int) -> None:
        return None

    def initial_cache(self, batch_size: int, length: int):
        assert length <= self.context
        return jnp.full((batch_size, 1), self.initial), jnp.zeros((), jnp.int32)

    @nn.compact
    def __call__(self, tokens, cache=None, *, train: bool):
        last, seen = self.initial_cache(len(tokens), 1) if cache is None else cache
        before = jnp.concatenate([last, tokens[:, :-1]], 1)
        self.param("unused", nn.initializers.zeros, ())
        following = (before + tokens) % self.vocab_size
        return 50.0 * jax.nn.one_hot(following, self.vocab_size), (tokens[:, -1:], seen + tokens.shape[1])


@pytest.mark.parametrize("context", [4, 7, 100])
def test_texts_go_on_beyond_the_context(context: int) -> None:
    """Of a context of 4 tokens, 2 are read again: enough for a sum of two."""
    task = LanguageModel(LastTwo(len(ALPHABET), context), Characters(ALPHABET))
    (passage,) = task.sample(state_of(task), 0, prompt="ab", count=1, length=20)["text"].passages
    ids = [1, 2]
    while len(ids) < 22:
        ids.append((ids[-1] + ids[-2]) % len(ALPHABET))
    assert passage == task.tokenizer.decode(ids)


@pytest.mark.parametrize(
    "model",
    [LSTM(len(ALPHABET), 5, 7), GPT(len(ALPHABET), context=16, width=8, layers=2, num_heads=2)],
    ids=["lstm", "gpt"],
)
def test_sampling_without_heat_takes_the_likeliest_of_the_whole_past(model: LSTM | GPT) -> None:
    task = LanguageModel(model, Characters(ALPHABET))
    state = state_of(task)
    first, second = task.sample(state, 0, prompt="abc", count=2, length=8, temperature=0.0)["text"].passages
    assert first == second
    ids = task.tokenizer.encode("abc")
    logits = jax.jit(lambda tokens: model.apply({"params": state.params}, tokens, train=False)[0])
    for place in range(2, 10):  # the model is causal, so what stands behind does not matter
        padded = jnp.array([ids + [0] * (11 - len(ids))])
        ids.append(int(logits(padded)[0, place].argmax()))
    assert first == task.tokenizer.decode(ids)


def test_samples_depend_on_the_seed_alone() -> None:
    state = state_of()
    one, same, other = (TASK.sample(state, seed, count=2, length=30)["text"].passages for seed in (0, 0, 1))
    assert one == same != other
    assert [len(passage) for passage in one] == [30, 30]


def test_prompts_that_cannot_be_are_told() -> None:
    with pytest.raises(UserError, match="--prompt: the character 'z' is none of the 8"):
        TASK.sample(state_of(), 0, prompt="z")
    with pytest.raises(UserError, match="the characters 'y', 'z' are none of the 8"):
        TASK.sample(state_of(), 0, prompt="azby")
    with pytest.raises(UserError, match="--prompt: is empty"):
        TASK.sample(state_of(), 0, prompt="")
    task = LanguageModel(LSTM(2, 5, 7), Characters("ab"))
    assert len(task.sample(state_of(task, batch_of() | {"tokens": jnp.zeros((3, 7), jnp.int32)}), 0, length=5)) == 1


def test_displays_show_windows_and_guesses() -> None:
    state, batch = state_of(), batch_of()
    sums, outputs, _ = evaluate(state, batch, state.carry)
    batch, sums, outputs = jax.tree.map(np.asarray, (batch, sums, outputs))

    def examples(index):
        return {name: value[index] for name, value in batch.items()}

    shown = TASK.displays(state, sums, outputs, examples)
    assert shown["loss_by_position"].y.shape == (1, LENGTH)
    hardest = shown["hardest"].passages
    losses = [float(passage.split()[0]) for passage in hardest]
    assert losses == sorted(losses, reverse=True)
    shown = TASK.show(batch, jax.tree.map(np.asarray, TASK.predict(state, batch_of())))
    assert isinstance(shown["surprise"], HeatMap) and isinstance(shown["guesses"], Text)
    assert shown["surprise"].values.shape == (ROWS, LENGTH)
