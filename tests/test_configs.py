"""What holds for every config, on its `tiny`.

Whether its programs fit together is tried on every config; its numbers on one of each network and task, and what takes
long on one of each task. `./launch.sh test -m "slow or not slow" tests/test_configs.py` tries all on every config.
"""

import dataclasses

import jax
import numpy as np
import pytest

from dlvr_jax.build import Experiment
from dlvr_jax.data.batches import assemble
from dlvr_jax.training.checkpoint import named_leaves, tree_digest
from dlvr_jax.training.compiled import initial_state, train_program
from dlvr_jax.training.evaluation import Split, add_up, evaluate
from dlvr_jax.training.population import Population, member, stacked
from dlvr_jax.training.sharding import Placement
from tests.configs import (
    every_config,
    every_model,
    every_network,
    every_task,
    gradient_of,
    plain,
    ratios,
    run_steps,
    state_of,
    tiny,
)

# One update in another form sums the same numbers in another order: f32 rounding of a loss of order 1, of gradients.
LOSS = dict(rtol=2e-6, atol=2e-6)
EVALUATED = dict(rtol=2e-5, atol=2e-5)  # the same, of batches of another shape; metrics of thresholds stay in it too
GRADIENT = 2e-4  # of the largest number of a leaf's gradient
SMALLEST = 1e-6  # norm of a parameter's gradient, of the largest one; float32 rounds to 6e-8
UNSEEN = (  # whose gradient is zero but for rounding
    "key/bias",  # adds the same to all scores of a query: softmax does not see it
    "project_norm/bias",  # EfficientNet: where no shortcut is, the norm of the next block takes it away again
)


@every_config
def test_a_step_of_a_population_and_one_in_bfloat16_keep_the_form_of_the_state(path: str) -> None:
    experiment, half = tiny(path), tiny(path, train__precision="bfloat16")
    three, seeds = Population(experiment.task, 3, own_batches=False), np.arange(3, dtype=np.uint32)
    for task, seed, hyper in ((three, seeds, stacked([experiment.hyper] * 3)), (half.task, seeds[0], half.hyper)):
        before = jax.eval_shape(task.init, seed, hyper, experiment.example_batch)
        after, _ = jax.eval_shape(task.train_step, before, experiment.training_batches()[0])
        assert jax.tree.map(_form, after) == jax.tree.map(_form, before)


@every_config
def test_models_and_tasks_are_as_their_config_says(path: str) -> None:
    experiment = tiny(path)
    for section, made in (
        ("model", experiment.model),
        ("task", getattr(experiment.task, "objective", experiment.task)),
    ):
        for field in dataclasses.fields(made):
            key = f"{section}.{field.name}"
            if key in experiment.flat and key != "model.name":  # which is Linen's own
                assert getattr(made, field.name) == experiment.flat[key], key


@every_network
def test_parameters_stay_finite_and_the_loss_falls(path: str) -> None:
    experiment = tiny(path)
    after, sums = run_steps(experiment, state_of(experiment), 16)
    _assert_finite(after)
    if experiment.task.directions.get("loss") == "lower":  # players and chains have none that falls
        losses = ratios(sums)["loss"]
        assert losses[-4:].mean() < losses[:4].mean()


@every_network
def test_every_parameter_has_a_gradient(path: str) -> None:
    _assert_every_parameter_has_a_gradient(path, "float32")


@every_task
def test_every_parameter_has_a_gradient_in_bfloat16_too_and_stays_finite(path: str) -> None:
    _assert_every_parameter_has_a_gradient(path, "bfloat16")
    experiment = _with_moments(path, "bfloat16")
    after, _ = run_steps(experiment, state_of(experiment), 16)
    _assert_finite(after)


@every_model
def test_the_same_seed_gives_the_same_bits_and_another_does_not(path: str) -> None:
    experiment = tiny(path)
    digests = [tree_digest(run_steps(experiment, state_of(experiment, seed), 2)[0]) for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


@every_task
def test_a_population_of_three_on_two_devices_agrees_with_solo_runs_on_one(path: str) -> None:
    experiment, placement = plain(path), Placement.over(2)
    task, batches = experiment.task, experiment.training_batches()
    payloads, seeds = [batches.payload(k) for k in range(3)], (3, 4, 5)
    rate = experiment.hyper["optimizer.learning_rate"]
    rates = [{**experiment.hyper, "optimizer.learning_rate": rate / (k + 1)} for k in range(3)]
    three = Population(task, 3, own_batches=True)
    before = _stack([initial_state(task, seeds[k], rates[k], experiment.example_batch) for k in range(3)])
    together, sums = jax.jit(lambda state, *parts: three.train_step(state, assemble(*parts)))(
        placement.state(before, 3),
        placement.everywhere(batches.resident),
        placement.rows(_stack(payloads), 1 + int(task.micro > 1)),
    )
    for k in range(3):
        alone = member(before, k), batches.resident, payloads[k]
        after, own = train_program(task, 1, *alone)(*alone)
        for name in _losses(own):
            np.testing.assert_allclose(sums[name][0][k], own[name][0], **_tolerance(name))
        _assert_same_update(alone[0], member(together, k), after)


@every_task
def test_eight_devices_that_share_the_batch_agree_with_one(path: str) -> None:
    experiment, placement = plain(path), Placement.over(8)
    batches, micro = experiment.training_batches(), experiment.task.micro
    one, alone = run_steps(experiment, state_of(experiment), 1)
    arguments = (
        placement.state(state_of(experiment), micro),
        placement.everywhere(batches.resident),
        placement.rows(batches.payload(0), int(micro > 1)),
    )
    shared, sums = train_program(experiment.task, 1, *arguments)(*arguments)
    for name in _losses(sums):
        np.testing.assert_allclose(sums[name][0], alone[0][name][0], **_tolerance(name))
    _assert_same_update(state_of(experiment), shared, one)


@every_task
def test_metrics_do_not_depend_on_the_evaluation_batch_size(path: str) -> None:
    found = []
    sizes = ("20",) if tiny(path).flat["data.order"] == "streams" else ("7", "20")  # rows of streams are fixed
    for size in sizes:
        experiment = tiny(path, eval__batch_size=size)
        split, state = Split.place(experiment.evaluation_batches("test"), Placement.over(1)), state_of(experiment)
        sums, outputs = evaluate(experiment.task, state, split)
        found.append(experiment.task.finish(state, sums, outputs))
        np.testing.assert_array_equal(outputs["index"], np.arange(experiment.data.spec.splits["test"]))
        assert set(experiment.task.directions) <= set(found[0])
    for metrics in found[1:]:
        assert metrics.keys() == found[0].keys()
        assert metrics.get("accuracy") == found[0].get("accuracy")
        for name in experiment.task.directions:
            np.testing.assert_allclose(metrics[name], found[0][name], **EVALUATED, err_msg=name)


@every_task
def test_micro_batches_add_up_to_the_batch(path: str) -> None:
    experiment = tiny(path)
    if experiment.task.directions.get("loss") != "lower" or state_of(experiment).carry is not None:
        pytest.skip("several players, or what passes from batch to batch by rows, make of the parts another thing")
    draws = {"model.dropout", "model.stochastic_depth", "augment.mixup", "augment.cutmix"}  # by each micro-batch anew
    if "batch_stats" in state_of(experiment).variables:
        pytest.skip("batch statistics are per micro-batch, so the two differ by design")
    no_draws = {key.replace(".", "__"): "none" for key in draws & experiment.flat.keys()}
    whole, parts = plain(path, **no_draws), plain(path, **no_draws, train__accumulate="4")
    one, alone = run_steps(whole, state_of(whole), 1)
    added, sums = run_steps(parts, state_of(parts), 1)
    np.testing.assert_allclose(sums[0]["loss"][0], alone[0]["loss"][0], **LOSS)
    assert sums[0]["loss"][1] == alone[0]["loss"][1]
    _assert_same_update(state_of(whole), added, one)


def test_sums_do_not_depend_on_how_they_are_grouped() -> None:
    draws = np.random.default_rng(0)
    numbers, ones = np.exp(draws.normal(0, 30, 100)).astype(np.float32), np.ones(100, np.float32)  # sums of them round
    in_parts, expected = {}, np.float64(0)
    for part in (slice(3), slice(3, 50), slice(50, None)):
        in_parts = add_up(in_parts, {"loss": (numbers[part], ones[part])})
    for number in numbers:
        expected = expected + np.float64(number)
    arrays = add_up({}, {"loss": (numbers[:, None], ones[:, None])})
    assert add_up({}, {"loss": (numbers, ones)})["loss"] == in_parts["loss"] == arrays["loss"] == (expected, 100)


def _stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _form(leaf) -> tuple[tuple[int, ...], np.dtype]:
    return leaf.shape, leaf.dtype


def _assert_every_parameter_has_a_gradient(path: str, precision: str) -> None:
    """The first gradient where no parameter is zero: behind a gate that begins at zero there would be none."""
    experiment = _with_moments(path, precision)
    state = state_of(experiment)
    before = dataclasses.replace(state, params=jax.tree.map(_off_zero, state.params))
    kept = jax.device_get(before)
    after, _ = run_steps(experiment, before, 1)  # which uses `before` up
    gradient = gradient_of(kept, after)
    assert gradient.keys() == named_leaves(after.params).keys()
    norms = {name: np.linalg.norm(leaf) for name, leaf in gradient.items()}
    none = {name for name, norm in norms.items() if not norm > SMALLEST * max(norms.values())}
    assert not {name for name in none if not name.endswith(UNSEEN)}


def _with_moments(path: str, precision: str) -> Experiment:
    """`tiny` with an optimizer that keeps the gradient: see `gradient_of`."""
    known = tiny(path).flat
    is_sgd = known["optimizer.name"] == "sgd"
    assert is_sgd or known["optimizer.l2"] is None
    momentum = {"optimizer__momentum": "0"} if is_sgd and known["optimizer.momentum"] is None else {}
    return tiny(path, train__precision=precision, **momentum)


def _assert_finite(state) -> None:
    for name, leaf in named_leaves(jax.device_get(state.params)).items():
        assert leaf.dtype == np.float32 and np.isfinite(leaf).all(), name


def _off_zero(leaf) -> jax.Array:
    moved = np.asarray(leaf) + 0.05 * np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
    return jax.numpy.asarray(moved)


def _losses(sums) -> list[str]:
    """A task of several players has several."""
    return [name for name in sums if name.endswith("loss")]


def _tolerance(loss: str) -> dict[str, float]:
    """The generator's loss follows an update of the discriminator, whose parameters are as exact as a gradient is."""
    return dict(rtol=GRADIENT) if loss == "generator_loss" else LOSS


def _assert_same_update(before, a, b) -> None:
    """What two forms added to the parameters differs by the rounding of a gradient and of the parameter itself.

    The gradient of a bias before a norm is zero but for the rounding of terms that cancel, as large as any gradient's;
    the sum of n of them rounds by about sqrt(n) times that of one, here up to 56 (16 examples of 14 x 14 places).
    """
    old, new, other = (named_leaves(jax.device_get(state.params)) for state in (before, a, b))
    updates = {name: other[name] - leaf for name, leaf in old.items()}
    largest = max(np.abs(update).max(initial=0) for update in updates.values())
    for name, leaf in old.items():
        rounding = np.finfo(np.float32).eps * max(np.abs(leaf).max(initial=0), 10 * largest)
        atol = GRADIENT * np.abs(updates[name]).max(initial=0) + rounding
        np.testing.assert_allclose(new[name] - leaf, updates[name], rtol=0, atol=atol, err_msg=name)
