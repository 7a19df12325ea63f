"""Energies of classes of points: what they are, what their form can tell apart, and where they are low."""

import dataclasses
from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from dlvr_jax.displays import HeatMap, Images
from dlvr_jax.errors import UserError
from dlvr_jax.tasks.energy_classification import EnergyClassification, marginal
from dlvr_jax.tasks.task import Keys
from tests.configs import run_steps, state_of, tiny

PATH = "configs/ebm/energy_two_moons.py"


@lru_cache
def trained(data: str, form: str, langevin_steps: str = "none", steps: int = 300) -> tuple[Any, Any, dict[str, float]]:
    """A small model on real points: task, state and test metrics."""
    sizes = dict(train__batch_size="64", optimizer__learning_rate="0.01", optimizer__schedule="constant")
    chains = dict(task__langevin_steps=langevin_steps)
    flags = dict(data__name=data, model__form=form, model__hidden="32,32", **sizes, **chains)
    experiment = tiny(PATH, **flags)
    state, _ = run_steps(experiment, state_of(experiment), steps)
    sums, outputs = evaluated(experiment, state)
    return experiment.task, state, experiment.task.finish(state, sums, outputs)


def evaluated(experiment: Any, state: Any) -> tuple[Any, Any]:
    arrays = experiment.data.arrays("test")
    count = len(arrays["label"])
    batch = {name: jnp.asarray(array) for name, array in arrays.items()}
    batch |= {"index": jnp.arange(count), "mask": jnp.ones(count, bool)}
    sums, outputs, _ = jax.device_get(jax.jit(experiment.task.eval_step)(state, batch, None))
    return sums, outputs


def test_the_box_must_have_an_inside() -> None:
    with pytest.raises(UserError, match="task.low = 1 must be less than task.high = -1"):
        tiny(PATH, task__low="1", task__high="-1")


def test_marginal_energies_sum_the_classes() -> None:
    energies = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(marginal(jnp.asarray(energies)), -logsumexp(-energies, axis=1), rtol=1e-5)


def test_probabilities_are_the_softmax_of_negative_energies() -> None:
    experiment = tiny(PATH)
    state, batch = state_of(experiment), experiment.training_batches()[0]
    batch = {name: jnp.asarray(array) for name, array in batch.items()}
    outputs = experiment.task.predict(state, batch)
    ratio = np.exp(-outputs["energies"][:, 0] + outputs["energies"][:, 1])
    np.testing.assert_allclose(outputs["probabilities"][:, 0] / outputs["probabilities"][:, 1], ratio, rtol=1e-4)
    np.testing.assert_array_equal(outputs["prediction"], outputs["energies"].argmin(-1))


@pytest.mark.parametrize("data", ["two_moons", "rings"])
def test_a_perceptrons_energies_part_what_linear_ones_cannot(data: str) -> None:
    curved, straight = trained(data, "mlp")[2]["accuracy"], trained(data, "linear")[2]["accuracy"]
    assert curved >= 0.95 and straight <= (0.9 if data == "two_moons" else 0.7)


def test_quadratic_energies_part_rings() -> None:
    assert trained("rings", "quadratic")[2]["accuracy"] >= 0.95


def test_with_chains_energies_are_low_where_the_points_lie() -> None:
    metrics = trained("two_moons", "mlp", "10", 500)[2]
    assert metrics["energy"] < metrics["energy_anywhere"] - 1
    assert metrics["accuracy"] >= 0.95
    assert abs(metrics["energy"]) < 20  # it does not run away


def test_chains_live_in_the_state_only_where_there_are_any() -> None:
    assert state_of(tiny(PATH, task__langevin_steps="none")).carry is None
    experiment = tiny(PATH)
    before = state_of(experiment)
    first = np.asarray(before.carry)
    after, _ = run_steps(experiment, before, 1)
    assert first.shape == (1000, 2) and np.abs(after.carry).max() <= 2.5
    assert (first != after.carry).any(1).sum() == 16


def test_landscape_and_samples_are_drawn() -> None:
    experiment = tiny(PATH)
    state, task = state_of(experiment), experiment.task
    sums, outputs = evaluated(experiment, state)
    shown = task.displays(state, sums, outputs, lambda index: {})
    assert isinstance(shown["landscape"], HeatMap) and shown["landscape"].values.shape == (64, 64)
    np.testing.assert_allclose(shown["landscape"].values.mean(), 0, atol=1e-4)
    assert isinstance(shown["points"], Images)
    made = task.sample(state, 1, count=7, steps=5)["samples"].images
    np.testing.assert_array_equal(made, task.sample(state, 1, count=7, steps=5)["samples"].images)
    assert made.shape == (1, 320, 320, 3)


class Noisy(nn.Module):
    """Energies with batch statistics and dropout."""

    @nn.compact
    def __call__(self, points: jax.Array, *, train: bool) -> jax.Array:
        points = nn.BatchNorm(not train, momentum=0.5)(points)
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(points))


@pytest.mark.parametrize("steps", [None, 2])
def test_training_trains_the_model_statistics_and_dropout_with_it(steps: int | None) -> None:
    experiment = tiny(PATH)
    batch = {name: jnp.asarray(array) for name, array in experiment.training_batches()[0].items()}
    task = EnergyClassification(Noisy(), (2,), ("a", "b"), steps)
    params, variables = task.init(jax.random.key(0), batch)
    carry = task.initial_carry(jax.random.key(0), batch)
    state = dataclasses.replace(state_of(experiment), params=params, variables=variables, carry=carry)

    def loss(step: int) -> tuple[Any, Any]:
        (total, _), (after, _, _) = task.loss(params, state, batch, Keys(0, step), generative=0.0)
        return float(total), after["batch_stats"]["BatchNorm_0"]["mean"]

    one, other = loss(0), loss(1)
    assert one[0] != other[0]  # another dropout
    assert (one[1] != variables["batch_stats"]["BatchNorm_0"]["mean"]).all()
