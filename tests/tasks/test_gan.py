"""The game of two players: who is updated by what, clipping, penalty, critic steps, averages, evaluation."""

import dataclasses
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlvr_jax.errors import UserError
from dlvr_jax.tasks.gan_losses import clipped, discriminator_losses, generator_losses, gradient_norms
from dlvr_jax.tasks.players import moved
from dlvr_jax.tasks.task import Keys, rates
from dlvr_jax.training.checkpoint import named_leaves, tree_digest
from dlvr_jax.training.evaluation import Split, evaluate
from dlvr_jax.training.sharding import Placement
from tests.configs import ratios, run_steps, state_of, tiny
from tests.metrics.small_features import written

MLP, DC, WGP = (f"configs/gan/{name}_fashion_mnist.py" for name in ("mlp_gan", "dcgan", "wgan_gp"))
POINTS, GP = (f"configs/gan/{name}_gaussians.py" for name in ("mlp_gan", "wgan_gp"))
SGD = dict(optimizer__name="sgd", optimizer__schedule="constant")


def batch_of(experiment, step: int = 0):
    return jax.tree.map(jnp.asarray, experiment.training_batches()[step])


def test_a_gradient_penalty_is_refused_where_the_discriminator_normalises_over_the_batch() -> None:
    with pytest.raises(UserError, match="use model.name = gan.wgan_gp.WGANGP"):
        state_of(tiny(DC, task__kind="wasserstein_gp"))


def test_losses_of_logits_in_closed_form() -> None:
    zero, ones = jnp.zeros(2), jnp.ones(2)
    np.testing.assert_allclose(discriminator_losses("non_saturating", zero, zero), 2 * np.log(2), rtol=1e-6)
    p = 1 / (1 + np.exp(-1.0))  # of a logit of 1
    np.testing.assert_allclose(discriminator_losses("minimax", ones, -ones), -2 * np.log(p), rtol=1e-6)
    np.testing.assert_allclose(generator_losses("non_saturating", ones), -np.log(p), rtol=1e-6)
    np.testing.assert_allclose(generator_losses("minimax", ones), np.log(1 - p), rtol=1e-6)
    np.testing.assert_array_equal(discriminator_losses("wasserstein", 3 * ones, ones), -2)
    np.testing.assert_array_equal(generator_losses("wasserstein_gp", 3 * ones), -3)


def test_only_minimax_saturates() -> None:
    slope = {
        k: abs(jax.grad(lambda s, k=k: generator_losses(k, s).sum())(-10 * jnp.ones(1))[0])
        for k in ("non_saturating", "minimax")
    }  # a discriminator that is sure
    assert slope["minimax"] < 1e-4 and slope["non_saturating"] > 0.99


def test_clipped_weights_lie_within_the_bound_after_a_step() -> None:
    experiment = tiny(MLP, task__kind="wasserstein", task__clip="0.003")
    before, after = state_of(experiment), run_steps(experiment, state_of(experiment), 1)[0]
    bound = np.float32(0.003)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(before.params["discriminator"])) > bound
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(after.params["discriminator"])) == bound
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(after.params["generator"])) > bound


def test_no_other_kind_clips() -> None:
    experiment = tiny(MLP, task__clip="0.003")
    after, _ = run_steps(experiment, state_of(experiment), 1)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(after.params["discriminator"])) > 0.01
    assert jax.tree.leaves(clipped({"a": jnp.array([-2.0, 0.1])}, 0.5))[0].tolist() == [-0.5, np.float32(0.1)]


def test_the_penalty_of_a_linear_critic_in_closed_form() -> None:
    """The slope of w.x is |w| everywhere, and the penalty's gradient 2 (|w| - 1) w / |w|."""
    random = np.random.default_rng(0)
    w, real, fake = (jnp.asarray(random.normal(size=s), jnp.float32) for s in ((6,), (5, 6), (5, 6)))
    share = jnp.linspace(0, 1, 5)

    def penalty(w):
        return ((gradient_norms(lambda x: x @ w, real, fake, share) - 1) ** 2).mean()

    length = np.linalg.norm(w)
    np.testing.assert_allclose(gradient_norms(lambda x: x @ w, real, fake, share), length, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(penalty)(w), 2 * (length - 1) * w / length, rtol=1e-4)
    flat = gradient_norms(lambda x: 0 * x.sum(1), real, fake, share)
    assert np.isfinite(flat).all()  # and its gradient, at the root of 0
    assert np.isfinite(jax.grad(lambda a: gradient_norms(lambda x: a * x.sum(1), real, fake, share).sum())(0.0))


def test_the_penalty_is_taken_between_real_and_fake() -> None:
    """The slope of |x|^2 / 2 at x is |x| itself, so the norms tell where they were taken."""
    real, fake, share = jnp.full((3, 2, 2, 1), 4.0), jnp.zeros((3, 2, 2, 1)), jnp.array([0.0, 0.25, 1.0])
    norms = gradient_norms(lambda x: (x**2).sum((1, 2, 3)) / 2, real, fake, share)
    np.testing.assert_allclose(norms, [0, 2, 8], atol=1e-5)


def test_double_backward_against_finite_differences() -> None:
    """The gradient of the penalty with respect to the parameters of a real critic, layer norm and all."""
    model = tiny(WGP).model.clone(image_shape=(4, 4, 1), widths=(3, 4), dtype=jnp.float64)
    with jax.enable_x64(True):
        random = np.random.default_rng(0)
        real, fake = random.normal(size=(2, 3, 4, 4, 1))
        init = jax.jit(partial(model.init, train=False))
        params = init(jax.random.key(0), jnp.zeros((3, 100)), jnp.asarray(real))["params"]
        critic = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params["discriminator"])
        generator = params["generator"]

        def penalty(own):
            both = {"discriminator": own, "generator": generator}
            score = partial(model.apply, {"params": both}, method="discriminate", train=True)
            norms = gradient_norms(score, jnp.asarray(real), jnp.asarray(fake), jnp.array([0.2, 0.5, 0.9]))
            return ((norms - 1) ** 2).mean()

        # In float64, but for the critic's scores: their derivative is 1, so nothing is rounded. Steps are small, for
        # leaky ReLUs have kinks.
        check_grads(jax.jit(penalty), (critic,), order=1, modes=["rev"], eps=1e-6, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", [DC, WGP])
def test_each_player_is_moved_by_its_own_loss_alone(path: str) -> None:
    """In parameters, in batch statistics and in the optimiser's state."""
    experiment = tiny(path, task__critic_steps="1")
    task, state, batch = experiment.task, state_of(experiment), batch_of(experiment)

    @jax.jit
    def each_moved(state):
        players = task.losses(state, batch, Keys(state.seed, state.step), **rates(state.hyper, "task"))
        return {name: moved(state, name, player, task.optimizer)[0] for name, player in players.items()}

    for name, after in each_moved(state).items():
        other = {"generator": "discriminator", "discriminator": "generator"}[name]

        def part(state, player):
            kinds = {kind: tree.get(player, {}) for kind, tree in state.variables.items()}
            return (state.params[player], state.opt_state[player], kinds)

        assert tree_digest(part(after, other)) == tree_digest(part(state, other))
        changed = named_leaves(part(after, name)[::2])
        still = [leaf for leaf, value in named_leaves(part(state, name)[::2]).items() if (changed[leaf] == value).all()]
        assert not still


def test_a_discriminator_without_speed_stands_still() -> None:
    experiment = tiny(MLP, task__discriminator_speed="0.0")
    before, (after, sums) = state_of(experiment), run_steps(experiment, state_of(experiment), 2)
    assert tree_digest(after.params["discriminator"]) == tree_digest(before.params["discriminator"])
    assert tree_digest(after.params["generator"]) != tree_digest(before.params["generator"])
    assert ratios(sums)["discriminator_learning_rate"].tolist() == [0, 0]


@pytest.mark.parametrize("path", [POINTS, GP])
def test_critic_steps_are_those_of_a_loop(path: str) -> None:
    experiment = tiny(path, task__critic_steps="3", **SGD)
    task, state, batch = experiment.task, state_of(experiment), batch_of(experiment)
    assert batch["point"].shape == (3, 16, 2) and experiment.examples_per_step == 48

    @partial(jax.jit, static_argnames="name")
    def one(state, own, micro, name):
        players = task.losses(state, own, Keys(state.seed, state.step, micro), **rates(state.hyper, "task"))
        return moved(state, name, players[name], task.optimizer)

    expected, losses = state, []
    for micro in range(4):
        name = "discriminator" if micro < 3 else "generator"
        own = {key: value[min(micro, 2)] for key, value in batch.items()}
        expected, (sums, _) = one(expected, own, micro, name)
        losses += [float(sums["discriminator_loss"][0])] if micro < 3 else []
    after, sums = jax.jit(task.train_step)(state, batch)
    assert sums["discriminator_loss"][1] == 48 and int(after.step) == 1
    np.testing.assert_allclose(sums["discriminator_loss"][0], np.sum(losses), rtol=1e-5)  # f32 sums in another order
    for name, leaf in named_leaves(jax.device_get(after.params)).items():
        np.testing.assert_allclose(leaf, named_leaves(expected.params)[name], rtol=2e-4, atol=2e-6, err_msg=name)


def test_schedules_count_steps_and_not_the_critics_updates() -> None:
    experiment = tiny(GP, optimizer__name="sgd", optimizer__schedule="cosine", optimizer__learning_rate="0.01")
    _, sums = run_steps(experiment, state_of(experiment), 12)
    found = ratios(sums)
    np.testing.assert_allclose(found["discriminator_learning_rate"], found["learning_rate"], rtol=1e-6)  # a f32 mean
    assert 0 < found["learning_rate"][-1] < 0.3 * found["learning_rate"][0]
    # An SGD step is the rate times the gradient; means over five updates of nearly equal norms.
    step = found["discriminator_update_norm"] / found["discriminator_gradient_norm"]
    np.testing.assert_allclose(step, found["learning_rate"], rtol=1e-4)


def test_the_average_is_of_the_generator_alone() -> None:
    experiment = tiny(DC, train__ema="0.9")
    first = jax.device_get(state_of(experiment))
    after, _ = run_steps(experiment, state_of(experiment), 1)
    params, variables = after.average
    assert tree_digest(params["discriminator"]) == tree_digest(after.params["discriminator"])
    statistics = [tree["batch_stats"] for tree in (first.variables, after.variables, variables)]
    assert tree_digest(statistics[2]["discriminator"]) == tree_digest(statistics[1]["discriminator"])
    for old, new, mean in ((first.params, after.params, params), statistics):
        for name, leaf in named_leaves(mean["generator"]).items():
            old_leaf, new_leaf = named_leaves(old["generator"])[name], named_leaves(new["generator"])[name]
            np.testing.assert_allclose(leaf, 0.1 * old_leaf + 0.9 * new_leaf, rtol=1e-5, atol=1e-7)  # decay 1 / 10


def test_the_first_non_finite_update_freezes_both_and_is_named() -> None:
    experiment = tiny(GP, **SGD)
    good, _ = run_steps(experiment, state_of(experiment), 1)
    digest = tree_digest((good.params, good.opt_state))
    broken = dataclasses.replace(good, hyper={**good.hyper, "optimizer.learning_rate": jnp.float32(np.inf)})
    after, _ = run_steps(experiment, broken, 2)
    assert (int(after.failed), int(after.step)) == (2, 1)
    assert tree_digest((after.params, after.opt_state)) == digest
    flags = jax.jit(experiment.task.non_finite)(after, batch_of(experiment, 1))
    assert any(jax.tree.leaves(flags["discriminator"]))
    fine = jax.jit(experiment.task.non_finite)(state_of(experiment), batch_of(experiment))
    assert not any(jax.tree.leaves(fine))


def test_real_images_have_the_generators_range() -> None:
    experiment = tiny(MLP)
    image = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)
    found = experiment.task._real({"image": jnp.asarray(image)}).ravel()
    np.testing.assert_allclose(found, [-1, -0.6, 1], atol=1e-6)


class DroppingOut(nn.Module):
    """A GAN whose players drop out."""

    latent: int = 2

    def setup(self) -> None:
        self.generator, self.discriminator = nn.Dense(2), nn.Dense(1)
        self.dropout = nn.Dropout(0.5)

    def __call__(self, z, points, *, train: bool):
        return self.generate(z, train=train), self.discriminate(points, train=train)

    def generate(self, z, *, train: bool):
        return self.dropout(self.generator(z), deterministic=not train)

    def discriminate(self, points, *, train: bool):
        return self.discriminator(self.dropout(points, deterministic=not train))[:, 0]


def test_players_that_drop_out_are_given_keys() -> None:
    experiment = tiny(POINTS, task__kind="wasserstein_gp")
    batch, task = batch_of(experiment), dataclasses.replace(experiment.task, model=DroppingOut())
    batch = batch if task.micro == 1 else jax.tree.map(lambda leaf: leaf[0], batch)
    params = task.model.init(jax.random.key(0), jnp.zeros((1, 2)), batch["point"], train=False)["params"]
    state = dataclasses.replace(state_of(experiment), params=params, variables={})
    for name in ("generator", "discriminator"):
        found = [
            task.losses(state, batch, dataclasses.replace(Keys(0, 0), step=step))[name].loss(params[name])[0]
            for step in (0, 1)
        ]
        assert found[0] != found[1]


def evaluated(experiment, state):
    return evaluate(experiment.task, state, Split.place(experiment.evaluation_batches("test"), Placement.over(1)))


@pytest.mark.parametrize("path", [POINTS, DC])
def test_what_is_generated_depends_on_the_examples_number_alone(path: str) -> None:
    found = []
    for size in ("7", "32"):
        experiment = tiny(path, eval__batch_size=size)
        found.append(evaluated(experiment, state_of(experiment)))
    assert len(found[0][1]["generated"]) == 32
    difference = found[0][1]["generated"].astype(float) - found[1][1]["generated"].astype(float)
    assert np.abs(difference).max() <= (1 if path == DC else 1e-5)  # f32 rounding, which may turn a byte
    np.testing.assert_allclose(found[0][0]["fake_score"], found[1][0]["fake_score"], rtol=1e-4)


def test_points_are_judged_by_modes() -> None:
    experiment = tiny(POINTS)
    state = state_of(experiment)
    sums, outputs = evaluated(experiment, state)
    metrics = experiment.task.finish(state, sums, outputs)
    assert set(experiment.task.directions) < set(metrics)
    assert metrics["score_gap"] == metrics["real_score"] - metrics["fake_score"]
    perfect = experiment.task.finish(state, sums, {**outputs, "generated": outputs["point"]})
    assert perfect["modes_covered"] == 8 and perfect["sliced_wasserstein"] == 0
    assert experiment.task.displays(state, sums, outputs, batch_of)["points"].images.shape[0] == 2


def test_images_are_judged_by_a_network_of_features_where_there_is_one(tmp_path: Path) -> None:
    net = written(tmp_path / "net", accuracy=0.5, shape=(28, 28, 1))
    plain = tiny(MLP)
    experiment = tiny(MLP, task__features=str(net), task__trust_features="true", eval__best="fid")
    state = state_of(experiment)
    sums, outputs = evaluated(experiment, state)
    without, metrics = (e.task.finish(state, sums, outputs) for e in (plain, experiment))
    assert "fid" not in without and "sliced_wasserstein" in without
    assert set(experiment.task.directions) < set(metrics) and metrics["fid"] > metrics["fid_real"]
    assert metrics["set_up/generated_count"] == 32
    assert 0 < metrics["set_up/training_count"] <= 5000 and {"nearest_training", "nearest_training_real"} < set(metrics)
    assert experiment.task.sample(state, 0, count=5)["nearest_training"].images.shape == (5, 56, 28, 1)
    assert experiment.task == dataclasses.replace(experiment.task, training_images=None)  # so programs are shared
    assert "quality" in experiment.task.displays(state, sums, outputs, batch_of)
    same = experiment.task.finish(state, sums, {**outputs, "generated": outputs["image"]})
    assert same["fid"] == pytest.approx(0, abs=1e-6) and same["precision"] == same["coverage"] == 1


def test_a_network_that_does_not_fit_is_told_before_any_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="below 0.92"):
        tiny(MLP, task__features=str(written(tmp_path / "weak", accuracy=0.5, shape=(28, 28, 1))))
    with pytest.raises(UserError, match=r"takes images of \(8, 8, 1\)"):
        tiny(MLP, task__features=str(written(tmp_path / "other")))
    with pytest.raises(UserError, match="no such file"):
        tiny(MLP, task__features=str(tmp_path / "none"))


def test_samples_follow_from_the_seed() -> None:
    experiment = tiny(MLP)
    sample, state = experiment.task.sample, state_of(experiment)
    first, again, other = sample(state, 0), sample(state, 0), sample(state, 1, count=5, interpolations=0)
    np.testing.assert_array_equal(first["samples"].images, again["samples"].images)
    assert (first["samples"].images[:5] != other["samples"].images).any()
    assert first["samples"].images.shape == (64, 28, 28, 1) and set(other) == {"samples"}
    assert first["interpolations"].images.shape == (6, 28, 9 * 28, 1)


def test_predicted_is_the_score() -> None:
    experiment = tiny(MLP)
    state, batch = state_of(experiment), batch_of(experiment)
    scores = experiment.task.predict(state, {"image": batch["image"]})["score"]
    sums, _, _ = experiment.task.eval_step(state, batch, None)
    np.testing.assert_allclose(scores.sum(), sums["real_score"][0], rtol=1e-5)
