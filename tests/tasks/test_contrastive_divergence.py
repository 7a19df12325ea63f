"""Contrastive divergence against the gradient of the likelihood, summed over all states."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.displays import Curves, Images
from dlvr_jax.errors import UserError
from dlvr_jax.models.ebm.energy_mlp import EnergyMLP
from dlvr_jax.models.ebm.rbm import RBM
from dlvr_jax.tasks import contrastive_divergence as module
from dlvr_jax.tasks.contrastive_divergence import ContrastiveDivergence
from dlvr_jax.tasks.task import Keys, State, rates
from tests.configs import run_steps, state_of, tiny
from tests.metrics.test_annealed_importance import exact_log_partition
from tests.models.ebm.test_rbm import HIDDEN, MODEL, VISIBLE, V, joint, params_of

SHAPE = (2, 2, 1)
PARTS = ("weights", "visible_bias", "hidden_bias")


def task_of(**fields: Any) -> ContrastiveDivergence:
    return ContrastiveDivergence(**{"model": MODEL, "image_shape": SHAPE, **fields})


def batch_of(visible: np.ndarray, mask: np.ndarray | None = None) -> dict[str, jax.Array]:
    images = (255 * visible).astype(np.uint8).reshape(-1, *SHAPE)
    mask = np.ones(len(images), bool) if mask is None else mask
    return {
        name: jnp.asarray(array) for name, array in dict(image=images, mask=mask, index=np.arange(len(images))).items()
    }


def state_with(params: Any, carry: Any = None) -> State:
    zero = jnp.zeros((), jnp.int32)
    return State(jax.tree.map(jnp.asarray, params), {}, (), None, carry, {}, jnp.uint32(0), zero, zero)


def drawn_from_the_model(params: dict[str, np.ndarray], count: int, seed: int = 0) -> np.ndarray:
    return V[np.random.default_rng(seed).choice(len(V), count, p=joint(params).sum(1))]


def gradient_of(task: ContrastiveDivergence, state: State, batch: Any, step: int = 0) -> Any:
    def mean(params):
        (total, count), _ = task.loss(params, state, batch, Keys(1, step))
        return total / count

    return jax.jit(jax.grad(mean))(state.params)


def exact_gradient(params: dict[str, np.ndarray], data: np.ndarray) -> Any:
    """Of the mean of -log p(v), by enumeration."""

    def negative_log_likelihood(params):
        energy = MODEL.apply({"params": params}, jnp.asarray(data, jnp.float32), train=False)
        every = MODEL.apply({"params": params}, jnp.asarray(V, jnp.float32), train=False)
        return energy.mean() + jax.nn.logsumexp(-every)

    return jax.jit(jax.grad(negative_log_likelihood))(jax.tree.map(jnp.asarray, params))


@pytest.mark.parametrize("persistent", [False, True])
def test_with_chains_from_the_model_it_is_the_likelihoods_gradient(persistent: bool) -> None:
    """Gibbs steps keep the model's distribution, so chains that begin there stay there."""
    params, count = params_of(0), 40_000
    chains = drawn_from_the_model(params, count)
    data = chains if not persistent else np.resize(V[[0, 5, 15, 15]], (count, VISIBLE))
    found = gradient_of(
        task_of(persistent=persistent), state_with(params, jnp.asarray(chains, jnp.float32)), batch_of(data)
    )
    expected = exact_gradient(params, data)
    for name in PARTS:  # means of numbers in [-1, 1] over the chains: four standard errors
        np.testing.assert_allclose(found[name], expected[name], atol=4 / count**0.5, err_msg=name)


def test_a_step_against_the_gradient_makes_the_data_likelier() -> None:
    """The sign: what CD gives is the gradient of a loss, not of a likelihood."""
    params, data = params_of(1), np.repeat(V[[0, 15]], 2_000, axis=0)
    gradient = gradient_of(task_of(steps=20), state_with(params), batch_of(data))

    def log_likelihood(step):
        after = {name: np.asarray(params[name] + step * gradient[name]) for name in PARTS}
        return np.log(joint(after).sum(1)[[0, 15]]).mean()

    assert log_likelihood(-0.5) - 0.02 > log_likelihood(0.0) > log_likelihood(0.5) + 0.02


def test_more_steps_come_nearer_to_the_likelihoods_gradient() -> None:
    params, data = params_of(2), np.repeat(V[[0, 3]], 10_000, axis=0)
    exact = exact_gradient(params, data)

    def error(steps):
        found = gradient_of(task_of(steps=steps), state_with(params), batch_of(data))
        return sum(float(((found[name] - exact[name]) ** 2).sum()) for name in PARTS)

    assert error(20) < 0.1 * error(1)


def test_persistent_chains_go_on_and_others_begin_at_the_data() -> None:
    params, batch = jax.tree.map(jnp.asarray, params_of(0)), batch_of(V)
    chains = jnp.asarray(V[::-1].copy(), jnp.float32)
    _, (_, after, _) = task_of(persistent=True).loss(params, state_with(params, chains), batch, Keys(1, 0))
    assert after.shape == chains.shape and (after != chains).any()
    _, (_, none, _) = task_of().loss(params, state_with(params), batch, Keys(1, 0))
    assert none is None and task_of().initial_carry(jax.random.key(0), batch) is None
    start = task_of(persistent=True).initial_carry(jax.random.key(0), batch)
    assert start.shape == (16, VISIBLE) and set(np.unique(start)) == {0.0, 1.0}


def test_rows_that_are_masked_count_nothing() -> None:
    params, mask = jax.tree.map(jnp.asarray, params_of(0)), np.arange(16) < 9
    batch, other = batch_of(V, mask), batch_of(np.where(mask[:, None], V, 1 - V), mask)
    state, task = state_with(params, jnp.asarray(V, jnp.float32)), task_of(persistent=True)
    (one, count), _ = task.loss(params, state, batch, Keys(1, 0))
    (two, _), _ = task.loss(params, state, other, Keys(1, 0))
    assert one == two and count == 9


def test_pixels_are_binarised_at_the_threshold() -> None:
    batch = {"image": jnp.array([0, 127, 128, 255], jnp.uint8).reshape(1, *SHAPE)}
    np.testing.assert_array_equal(task_of()._visible(batch), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(task_of(threshold=1.0)._visible(batch), [[0, 0, 0, 1]])


def test_the_log_likelihood_is_that_of_enumeration() -> None:
    params, task = params_of(0), task_of(ais_chains=400)
    state, batch = state_with(params), batch_of(V[[1, 6, 7]])
    sums, outputs, _ = jax.device_get(jax.jit(task.evaluate)(state, batch, None))
    metrics = task.finish(state, sums, outputs)
    exact = np.log(joint(params).sum(1)[[1, 6, 7]]).mean()
    assert abs(metrics["log_likelihood"] - exact) < 4 * metrics["log_partition_error"] + 1e-3
    log_z = exact_log_partition(*(params[name] for name in PARTS))
    np.testing.assert_allclose(-metrics["free_energy"] - log_z, exact, rtol=1e-4)
    assert set(task.directions) <= set(metrics)


@pytest.mark.parametrize("path", ["configs/ebm/rbm_digits.py", "configs/ebm/rbm_pcd_digits.py"])
def test_training_raises_the_likelihood(path: str) -> None:
    experiment = tiny(path, optimizer__learning_rate="0.02", task__ais_temperatures="200")
    task, before = experiment.task, state_of(experiment)
    after, _ = run_steps(experiment, state_of(experiment), 16)
    batch = jax.tree.map(jnp.asarray, dict(experiment.training_batches()[0]))
    found = [
        task.finish(state, *task.eval_step(state, batch, state.carry)[:2])["log_likelihood"]
        for state in (before, after)
    ]
    assert found[1] > found[0] + 10


def test_samples_and_displays_are_pictures_of_the_images_shape() -> None:
    params, task = params_of(0), task_of()
    state, batch = state_with(params), batch_of(V)
    made = task.sample(state, 3, count=5, steps=10, frames=4)
    assert made["chains"].title == "Gibbs chains of 12 steps, from random pixels"  # three times four
    assert made["samples"].images.shape == (5, *SHAPE)
    assert made["chains"].images.shape == (5, 2, 4 * 3, 1)
    again = task.sample(state, 3, count=5, steps=10, frames=4)
    np.testing.assert_array_equal(made["samples"].images, again["samples"].images)
    sums, outputs, _ = jax.device_get(task.evaluate(state, batch, None))
    shown = task.displays(state, sums, outputs, lambda index: {name: batch[name][index] for name in ("image",)})
    assert shown["receptive_fields"].images.shape == (HIDDEN, *SHAPE)
    assert isinstance(shown["reconstructions"], Images) and isinstance(shown["free_energies"], Curves)
    np.testing.assert_allclose(shown["free_energies"].y.sum(1), 1)


def test_samples_have_the_models_means() -> None:
    params = params_of(0)
    _, probabilities = module._walk(MODEL, state_with(params).params, jax.random.key(0), 8_000, 60, 2)
    np.testing.assert_allclose(probabilities.mean(0), joint(params).sum(1) @ V, atol=4 * 0.5 / 8_000**0.5)


def test_a_model_that_is_more_than_an_rbm_is_refused() -> None:
    """Its log Z would be of something else."""
    with pytest.raises(UserError, match="EnergyMLP is no RBM"):
        task_of(model=EnergyMLP()).init(jax.random.key(0), batch_of(V))
    state = dataclasses.replace(state_with(params_of(0)), hyper={"model.dropout": 0.1})
    with pytest.raises(UserError, match="model.dropout"):
        task_of().loss(state.params, state, batch_of(V), Keys(1, 0))


def test_it_takes_no_rates_and_equal_tasks_are_equal() -> None:
    assert rates({"optimizer.learning_rate": 1.0}, "task") == {}
    assert task_of() == task_of() and hash(task_of()) == hash(task_of())
    assert task_of() != dataclasses.replace(task_of(), model=RBM(sample_shape=SHAPE, hidden=4))
