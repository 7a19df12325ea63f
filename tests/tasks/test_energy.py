"""Energies of images: what the loss is, that it stays bounded, and how other kinds of images are told apart."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dlvr_jax.data.builders import animals
from dlvr_jax.data.builders.made_up import made_up
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.out_of_distribution import detection
from dlvr_jax.models.ebm.energy_net import EnergyNet
from dlvr_jax.tasks.energy import BOX, Energy
from dlvr_jax.tasks.sampling.replay import drawn, put_back
from dlvr_jax.tasks.task import Keys
from tests.configs import ratios, run_steps, state_of, tiny
from tests.metrics.small_features import written

PATH = "configs/ebm/deep_ebm_fashion_mnist.py"
NO_ADDITIONS = dict(data_noise=None, energy_l2=None)


def setting() -> tuple[Any, Any, dict[str, jax.Array]]:
    experiment = tiny(PATH)
    batch = {name: jnp.asarray(array) for name, array in experiment.training_batches()[0].items()}
    return experiment.task.objective, state_of(experiment), batch


def test_the_loss_is_the_difference_of_energies_of_images_and_chains() -> None:
    task, state, batch = setting()
    (total, count), (_, carry, sums) = task.loss(state.params, state, batch, Keys(0, 0), **NO_ADDITIONS)
    moved = np.flatnonzero((carry != state.carry).any((1, 2, 3)))
    assert len(moved) == count == 16  # the chains that went on are as many as images, and the others stay
    energy = lambda x: task.model.apply({"params": state.params}, x, train=False)  # noqa: E731
    expected = energy(batch["image"] / 127.5 - 1).sum() - energy(carry[moved]).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sums["energy_sampled"][0], energy(carry[moved]).sum(), rtol=1e-4)


def test_its_gradient_lowers_images_and_raises_chains() -> None:
    """The sign, for an energy whose slope is known: E(x) = w.x has the gradient of mean x less mean x'."""
    task, state, batch = setting()

    def mean_loss(params):
        (total, count), (_, carry, _) = task.loss(params, state, batch, Keys(0, 0), **NO_ADDITIONS)
        return total / count, carry

    gradient, carry = jax.grad(mean_loss, has_aux=True)(state.params)
    moved = np.flatnonzero((carry != state.carry).any((1, 2, 3)))
    after = jax.tree.map(lambda p, g: p - 0.01 * g, state.params, gradient)

    def gap(params):
        energy = lambda x: task.model.apply({"params": params}, x, train=False).mean()  # noqa: E731
        return energy(batch["image"] / 127.5 - 1) - energy(carry[moved])

    assert gap(after) < gap(state.params)


def test_the_regulariser_is_the_squares_of_both_energies() -> None:
    task, state, batch = setting()
    (plain, _), (_, carry, _) = task.loss(state.params, state, batch, Keys(0, 0), **NO_ADDITIONS)
    (more, _), _ = task.loss(state.params, state, batch, Keys(0, 0), data_noise=None, energy_l2=0.5)
    moved = np.flatnonzero((carry != state.carry).any((1, 2, 3)))
    both = jnp.concatenate([batch["image"] / 127.5 - 1, carry[moved]])
    squares = (task.model.apply({"params": state.params}, both, train=False) ** 2).sum()
    np.testing.assert_allclose(more - plain, 0.5 * squares, rtol=1e-3)


def test_without_restarts_chains_go_on_from_the_buffer_and_with_them_from_noise() -> None:
    buffer, fresh = jnp.zeros((9, 2)), jnp.ones((4, 2))
    rows, start = drawn(buffer, jax.random.key(0), fresh, 0.0)
    assert len(set(rows.tolist())) == 4 and (start == 0).all()
    assert (drawn(buffer, jax.random.key(0), fresh, 1.0)[1] == 1).all()
    many = drawn(jnp.zeros((4_000, 1)), jax.random.key(0), jnp.ones((4_000, 1)), 0.1)[1]
    np.testing.assert_allclose(many.mean(), 0.1, atol=4 * (0.09 / 4_000) ** 0.5)
    after = put_back(buffer, rows, fresh)
    assert (after[rows] == 1).all() and after.sum() == 8


def test_energies_stay_bounded_where_the_difference_alone_runs_away() -> None:
    """With chains that do not move, so that nothing else holds the two apart."""
    fast = dict(optimizer__learning_rate="0.01", optimizer__clip_norm="none", optimizer__schedule="constant")
    fast |= dict(optimizer__warmup_steps="0", task__step_size="0.0")
    largest = {}
    for energy_l2 in ("0.1", "none"):
        experiment = tiny(PATH, task__energy_l2=energy_l2, **fast)
        _, sums = run_steps(experiment, state_of(experiment), 25)
        found = ratios(sums)
        largest[energy_l2] = max(np.abs(found["energy"]).max(), np.abs(found["energy_sampled"]).max())
    assert largest["0.1"] < 20 < 500 < largest["none"]


def test_chains_stay_in_the_box_of_pixels() -> None:
    experiment = tiny(PATH)
    state, _ = run_steps(experiment, state_of(experiment), 4)
    assert state.carry.shape == (40, 28, 28, 1)
    assert BOX.low <= state.carry.min() < state.carry.max() <= BOX.high


def test_a_buffer_has_at_least_the_rows_of_a_batch() -> None:
    task = Energy(EnergyNet(), (28, 28, 1), buffer_size=3)
    batch = {"image": jnp.zeros((7, 28, 28, 1), jnp.uint8)}
    assert task.initial_carry(jax.random.key(0), batch).shape == (7, 28, 28, 1)


def test_detection_is_scikit_learns_and_takes_scores_that_are_not_finite() -> None:
    inside, outside = np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.5, 4.0])
    found = detection(inside, outside, "noise")
    assert found["noise_auroc"] == 7 / 8  # pairs in order
    np.testing.assert_allclose(found["noise_auprc"], (1 + 2 / 3) / 2)
    assert np.isnan(detection(np.array([np.nan, 1.0]), outside, "noise")["noise_auroc"])


def test_other_data_are_scored_beside_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    other = made_up(like="animals", test=30)
    monkeypatch.setattr(animals, "animals", lambda: other)
    experiment = tiny(PATH, task__other_data="animals")
    state, task = state_of(experiment), experiment.task.objective
    batch = {name: jnp.asarray(array) for name, array in experiment.training_batches()[0].items()}
    sums, outputs, _ = jax.device_get(jax.jit(task.evaluate)(state, batch, None))
    metrics = task.finish(state, sums, outputs)
    images = other.arrays("test")["image"] / np.float32(127.5) - 1
    energies = task.model.apply({"params": state.params}, jnp.asarray(images, jnp.float32), train=False)
    labels = np.r_[np.zeros(16), np.ones(30)]
    expected = roc_auc_score(labels, np.r_[outputs["energy"], energies])
    np.testing.assert_allclose(metrics["animals_auroc"], expected, atol=1 / (16 * 30) + 1e-9)  # a pair may tie in f32
    np.testing.assert_allclose(metrics["energy_animals"], energies.mean(), rtol=1e-4)
    shown = task.displays(state, sums, outputs, lambda index: {"image": np.zeros((len(index), 28, 28, 1), np.uint8)})
    assert shown["energy_histogram"].names == ("examples", "noise", "sampled", "animals")


def test_other_data_must_have_the_same_shape() -> None:
    with pytest.raises(UserError, match=r"task.other_data = made_up: has images of \(32, 32, 1\), where \(28, 28, 1\)"):
        Energy(EnergyNet(), (28, 28, 1), other_data="made_up")
    with pytest.raises(UserError, match=r"task.other_data = two_moons: has no images, where \(28, 28, 1\) is needed"):
        Energy(EnergyNet(), (28, 28, 1), other_data="two_moons")
    with pytest.raises(UserError, match="task.other_data = image_folder: needs path"):
        Energy(EnergyNet(), (28, 28, 1), other_data="image_folder")
    with pytest.raises(UserError, match=r'task.other_data: no "animal" .* did you mean'):
        Energy(EnergyNet(), (28, 28, 1), other_data="animal")


def test_samples_are_repeatable_and_follow_their_options() -> None:
    experiment = tiny(PATH)
    state, task = state_of(experiment), experiment.task
    made = task.sample(state, 3, count=5, steps=6, frames=4)
    assert made["samples"].images.shape == (5, 28, 28, 1)
    assert made["chains"].images.shape == (5, 28, 4 * 29, 1)
    assert len(made["buffer"].images) == 24
    assert made["samples"].title == "Samples: 6 Langevin steps from noise"
    assert task.sample(state, 3, count=1, steps=7, frames=4)["samples"].title.startswith("Samples: 9 ")
    again = task.sample(state, 3, count=5, steps=6, frames=4)
    np.testing.assert_array_equal(made["samples"].images, again["samples"].images)
    other = task.sample(state, 3, count=5, steps=6, frames=4, step_size=0.0)
    assert (made["samples"].images != other["samples"].images).any()


def test_chains_are_judged_beside_as_many_images(tmp_path: Path) -> None:
    net = written(tmp_path / "net", shape=(28, 28, 1))
    experiment = tiny(PATH, task__features=str(net), task__trust_features="true")
    state, task = state_of(experiment), experiment.task
    count = len(state.carry) + 7
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28, 1)).astype(np.uint8)
    energies = np.arange(count, dtype=np.float32)
    metrics = task.finish(state, {}, {"image": images, "energy": energies, "energy_noise": energies})
    assert metrics["set_up/real_count"] == metrics["set_up/generated_count"] == len(state.carry)
