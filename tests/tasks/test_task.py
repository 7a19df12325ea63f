"""What a loss becomes: keys, averages, the stop at the first non-finite number."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.random_key import key_of
from dlvr_jax.tasks.task import Keys, Purpose
from dlvr_jax.training.checkpoint import tree_digest
from tests.configs import run_steps, state_of, tiny

DIGITS = "configs/cnn/lenet5_digits.py"
# Changing one of these changes every bit of every run. They never change.
KEYS = {
    Purpose.INIT: (2785874591, 2637538571),
    Purpose.DROPOUT: (4073741833, 2748900490),
    Purpose.AUGMENTATION: (1191937433, 2376278780),
    Purpose.NOISE: (2494649705, 475266033),
    Purpose.SAMPLING: (623043890, 3579507023),
    Purpose.CARRY: (2377693112, 978177622),
}


def test_keys_are_what_they_always_were() -> None:
    assert {purpose: tuple(jax.random.key_data(Keys(7, 3).shared(purpose)).tolist()) for purpose in Purpose} == KEYS
    assert jax.random.key_data(Keys(7, 3, 2).own(Purpose.DROPOUT)).tolist() == [2489875016, 2562086461]


def test_keys_do_not_depend_on_the_generator_that_jax_takes_by_default() -> None:
    with jax.default_prng_impl("rbg"):
        assert jax.random.key_data(key_of(7)).tolist() == [0, 7]


def test_the_average_follows_its_formula_and_is_what_evaluation_uses() -> None:
    experiment = tiny(DIGITS, train__ema="0.9")
    state = state_of(experiment)
    expected = np.asarray(state.params["output"]["bias"], np.float64)
    for step in range(5):
        state, _ = run_steps(experiment, dataclasses.replace(state), 1)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * np.asarray(state.params["output"]["bias"], np.float64)
    np.testing.assert_allclose(state.average[0]["output"]["bias"], expected, rtol=1e-5, atol=1e-8)

    def loss(state):
        batch = {**experiment.example_batch, "image": experiment.example_batch["image"] + np.uint8(9)}
        return jax.jit(experiment.task.eval_step)(state, batch, None)[0]["loss"][0]

    other_params = dataclasses.replace(state, params=jax.tree.map(jnp.zeros_like, state.params))
    other_average = dataclasses.replace(state, average=jax.tree.map(jnp.zeros_like, state.average))
    assert loss(other_params) == loss(state) != loss(other_average)


@pytest.mark.parametrize("accumulate", ["1", "2"])
def test_the_first_non_finite_update_freezes_the_state_and_is_recorded(accumulate: str) -> None:
    experiment = tiny(DIGITS, optimizer__name="sgd", optimizer__schedule="constant", train__accumulate=accumulate)
    good, _ = run_steps(experiment, state_of(experiment), 1)
    digest, step = tree_digest((good.params, good.opt_state)), int(good.step)
    broken = dataclasses.replace(good, hyper={**good.hyper, "optimizer.learning_rate": jnp.float32(np.inf)})
    after, _ = run_steps(experiment, broken, 3)
    assert (int(after.failed), int(after.step)) == (2, 1) and step == 1
    assert tree_digest((after.params, after.opt_state)) == digest


def test_a_gradient_that_is_not_finite_is_named() -> None:
    experiment = tiny(DIGITS)
    state, batch = state_of(experiment), experiment.training_batches()[0]
    flags = jax.jit(experiment.task.non_finite)(state, batch)
    assert not any(jax.tree.leaves(flags))
    state.params["f6"]["bias"] = state.params["f6"]["bias"].at[0].set(np.nan)
    flags = jax.jit(experiment.task.non_finite)(state, batch)
    assert flags["loss"] and flags["gradient"]["output"]["bias"]


def test_a_second_learning_rate_compiles_nothing() -> None:
    from dlvr_jax.training.compile_count import CompileCount

    first = tiny(DIGITS)
    run_steps(first, state_of(first), 1)
    count = CompileCount()
    second = tiny(DIGITS, optimizer__learning_rate="0.0123", optimizer__b1="0.5")
    assert second.task == first.task and second.task is not first.task
    run_steps(second, state_of(second), 1)
    assert count.programs == 0
