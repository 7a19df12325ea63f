"""The objective of diffusion: what it draws, what it learns, what guidance and evaluation do."""

import dataclasses
from functools import lru_cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.models.diffusion.unet import UNet
from dlvr_jax.tasks.diffusion import Diffusion
from dlvr_jax.tasks.task import Keys, Purpose, State
from tests.configs import tiny
from tests.metrics.small_features import written

CONFIG = "configs/diffusion/ddpm_fashion_mnist.py"


@dataclasses.dataclass(frozen=True)
class Echo:
    """A stand-in for a network, that says what it is asked: image + label / 100."""

    conditional: bool = True

    def init(self, keys, images, times, labels, *, train):
        return {"params": {"scale": jnp.ones(())}}

    def apply(self, variables, images, times, labels, *, train, mutable=None, rngs=None):
        said = variables["params"]["scale"] * images
        said = said if labels is None else said + labels[:, None, None, None] / 100
        return said if mutable is None else (said, {})


ZERO = jnp.zeros((), jnp.int32)
STATE = State({"scale": jnp.ones(())}, {}, None, None, None, {"task.label_dropout": jnp.float32(0.1)}, ZERO, ZERO, ZERO)
ECHO = Diffusion(Echo(), (4, 4, 1), 3, ("a", "b", "c"), timesteps=50, schedule="cosine")


evaluate = jax.jit(ECHO.evaluate)


def batch_of(count: int, first: int = 0):
    image = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1)).astype(np.uint8)
    index = np.arange(first, first + count, dtype=np.int32)
    return jax.tree.map(jnp.asarray, {"image": image, "label": index % 3, "index": index, "mask": np.ones(count, bool)})


def test_the_loss_is_the_mean_square_error_of_what_is_said() -> None:
    batch, keys = batch_of(1), Keys(0, 0)
    key = jax.random.fold_in(keys.shared(Purpose.NOISE), 0)
    time = jax.random.randint(jax.random.fold_in(key, 0), (), 1, 51)
    eps = jax.random.normal(jax.random.fold_in(key, 1), (1, 4, 4, 1))[0]
    x0 = batch["image"][0] / np.float32(127.5) - 1
    a, s = np.sqrt(ECHO.network.process.alpha_bars[time]), np.sqrt(1 - ECHO.network.process.alpha_bars[time])
    for prediction, target in (("eps", eps), ("x0", x0), ("v", a * eps - s * x0)):
        task = dataclasses.replace(ECHO, prediction=prediction)
        (total, count), _ = jax.jit(partial(task.loss, keys=keys))(STATE.params, STATE, batch)
        said = a * x0 + s * eps + batch["label"][0] / 100
        expected = np.mean((said - target) ** 2)
        np.testing.assert_allclose(total, expected, rtol=1e-5)
        assert count == 1


def test_draws_belong_to_the_example_and_the_step() -> None:
    loss = jax.jit(lambda batch, step: ECHO.loss(STATE.params, STATE, batch, Keys(0, step)))

    def losses(batch, step):
        return [float(loss({**batch, "mask": batch["index"] == k}, step)[0][0]) for k in batch["index"]]

    batch = jax.device_get(batch_of(4))
    turned = {name: rows[::-1] for name, rows in batch.items()}
    np.testing.assert_allclose(losses(batch, 0), losses(turned, 0)[::-1], rtol=1e-6)
    assert not np.isclose(losses(batch, 0), losses(batch, 1)).any()


def test_labels_are_hidden_at_their_rate() -> None:
    batch = batch_of(2000)
    own = jax.vmap(lambda k: jax.random.fold_in(jax.random.key(0), k))(batch["index"])
    for rate in (0.0, 0.3, 1.0):
        labels = np.asarray(ECHO._some_hidden(batch, jnp.float32(rate), own))
        hidden = labels == 3
        np.testing.assert_allclose(hidden.mean(), rate, atol=5 * np.sqrt(rate * (1 - rate) / 2000))
        np.testing.assert_array_equal(labels[~hidden], batch["label"][~hidden])
    np.testing.assert_array_equal(ECHO._some_hidden(batch, None, own), batch["label"])


def test_hidden_labels_without_classes_are_refused() -> None:
    task = dataclasses.replace(ECHO, model=Echo(conditional=False))
    with pytest.raises(UserError, match="label_dropout"):
        task.loss(STATE.params, STATE, batch_of(2), Keys(0, 0), label_dropout=jnp.float32(0.1))


def test_guidance_one_is_the_conditional_model_and_zero_the_one_without_classes() -> None:
    network = dataclasses.replace(ECHO, prediction="x0").network
    x, times, labels = jnp.full((2, 4, 4, 1), 0.05), jnp.array([5, 9]), jnp.array([0, 0])
    conditional = network.denoiser(STATE, labels)(x, times)
    without = network.denoiser(STATE, network.no_class(2))(x, times)
    np.testing.assert_array_equal(network.denoiser(STATE, labels, 1.0)(x, times), conditional)
    np.testing.assert_array_equal(network.denoiser(STATE, labels, 0.0)(x, times), without)


def test_labels_are_looked_at_only_where_training_never_hid_them() -> None:
    batch = batch_of(6)

    def labels(rate):
        state = dataclasses.replace(STATE, hyper={"task.label_dropout": rate})
        return ECHO.network.hidden(state, batch["label"], 6).tolist()

    assert labels(jnp.float32(0.1)) == [3] * 6
    assert labels(None) == labels(jnp.float32(0)) == batch["label"].tolist()
    state = dataclasses.replace(STATE, hyper={"task.label_dropout": jnp.float32(0)})
    with pytest.raises(UserError, match="trained with task.label_dropout"):
        ECHO.network.guided(state, 2.0)
    taught, untaught = (ECHO.predict(s, batch)["denoised"] for s in (STATE, state))
    assert (taught != untaught).any()


def test_classes_without_names_are_numbers() -> None:
    task = dataclasses.replace(ECHO, class_names=())
    assert task.sample(STATE, 0, count=4, steps=2)["samples"].captions == ("0", "1", "2", "0")


@lru_cache(maxsize=1)
def trained_shape():
    """The tiny experiment, and a state of which no part is zero."""
    experiment, draws = tiny(CONFIG), np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: (0.2 * draws.standard_normal(leaf.shape)).astype(np.float32), experiment.abstract_state.params
    )
    return experiment, dataclasses.replace(STATE, params=params, hyper=experiment.hyper)


def objective():
    return trained_shape()[0].task.objective


def test_guidance_goes_beyond_the_conditional_model_along_a_line() -> None:
    network = dataclasses.replace(ECHO, prediction="x0").network
    x, times, labels = jnp.full((2, 4, 4, 1), 0.05), jnp.array([5, 9]), jnp.array([0, 1])
    guided = network.denoiser(STATE, labels, 3.0)(x, times)
    # Without a class (label 3) it says x + 0.03, with one x + 0 or x + 0.01.
    np.testing.assert_allclose(guided[:, 0, 0, 0], [0.05 + 0.03 - 3 * 0.03, 0.05 + 0.03 - 3 * 0.02], rtol=1e-5)


def test_an_evaluation_is_the_same_every_time_and_for_every_batch() -> None:
    batch = batch_of(6, 10)
    whole = evaluate(STATE, batch, None)
    again = evaluate(STATE, batch, None)
    part = evaluate(STATE, {name: rows[2:4] for name, rows in batch.items()}, None)
    np.testing.assert_array_equal(whole[1]["loss"], again[1]["loss"])
    np.testing.assert_allclose(whole[1]["loss"][2:4], part[1]["loss"], rtol=1e-6)
    np.testing.assert_array_equal(whole[1]["time"][2:4], part[1]["time"])


def test_padding_adds_nothing() -> None:
    batch = batch_of(6)
    padded = {**batch, "mask": jnp.arange(6) < 4}
    for name, (total, count) in evaluate(STATE, padded, None)[0].items():
        other = evaluate(STATE, {key: rows[:4] for key, rows in batch.items()}, None)[0][name]
        np.testing.assert_allclose(total, other[0], rtol=1e-5, err_msg=name)
        assert count == other[1] == 4


def test_the_loss_and_the_bound_of_evaluation_are_means_over_all_times() -> None:
    """One image again and again, each time at another time: as the sum over all times says."""
    steps = 1 + 50
    task = dataclasses.replace(ECHO, model=Echo(conditional=False), timesteps=steps, prediction="x0")
    batch = batch_of(5000)
    batch["image"] = jnp.broadcast_to(batch["image"][:1], batch["image"].shape)
    sums, _, _ = jax.device_get(jax.jit(task.evaluate)(STATE, batch, None))
    x0 = np.asarray(batch["image"][:1]) / 127.5 - 1
    kept = task.network.process.alpha_bars[1:]
    # E (x_t - x_0)^2 for each time, with x_t = a_t x_0 + s_t eps.
    expected = ((np.sqrt(kept) - 1) ** 2 * (x0**2).mean() + 1 - kept).mean()
    np.testing.assert_allclose(sums["loss"][0] / sums["loss"][1], expected, rtol=0.02)  # 5,000 draws of 16 pixels
    parts = sum(sums[f"bits_{name}"][0] for name in ("prior", "steps", "last"))
    np.testing.assert_allclose(parts, sums["bits_per_dimension"][0], rtol=1e-5)


def test_samples_take_options_and_refuse_what_the_model_cannot() -> None:
    state = trained_shape()[1]
    shown = objective().sample(state, 0, count=12, steps=2, guidance=2.0)
    assert shown["samples"].images.shape == (12, 28, 28, 1) and shown["samples"].images.dtype == np.uint8
    assert shown["samples"].captions[:3] == ("T-shirt/top", "Trouser", "Pullover")
    again = objective().sample(state, 0, count=12, steps=2, guidance=2.0)
    np.testing.assert_array_equal(shown["samples"].images, again["samples"].images)
    assert (objective().sample(state, 1, count=12, steps=2)["samples"].images != shown["samples"].images).any()
    with pytest.raises(UserError, match="steps = 11"):
        objective().sample(state, 0, steps=11)
    with pytest.raises(UserError, match="label = 10: the model knows 10 classes"):
        objective().sample(state, 0, label=10)
    untaught = dataclasses.replace(state, hyper={**state.hyper, "task.label_dropout": None})
    with pytest.raises(UserError, match="guidance = 2: only for a conditional model"):
        objective().sample(untaught, 0, guidance=2.0)


@pytest.mark.parametrize("flags", [dict(task__guidance="2"), dict(task__compared="1,2")])
def test_guidance_of_what_is_never_taught_is_refused_before_training(flags: dict[str, str]) -> None:
    with pytest.raises(UserError, match="guidance = 2: only for a conditional model, trained with task.label_dropout"):
        tiny(CONFIG, task__label_dropout="none", **flags)


def test_without_classes_there_are_no_captions_and_no_guidance() -> None:
    experiment = tiny(CONFIG, model__conditional="false", task__label_dropout="none")
    state = trained_shape()[1]
    params = {name: part for name, part in state.params.items() if name != "classes"}
    state = dataclasses.replace(state, params=params, hyper={**state.hyper, "task.label_dropout": None})
    task = experiment.task.objective
    assert task.sample(state, 0, count=3, steps=2)["samples"].captions == ()
    for bad in (dict(guidance=2.0), dict(label=1)):
        with pytest.raises(UserError):
            task.sample(state, 0, **bad)
    with pytest.raises(UserError, match="model.conditional"):
        Diffusion(UNet(), (28, 28, 1), guidance=2.0)


def test_with_a_feature_network_images_are_made_and_judged(tmp_path: Path) -> None:
    net = str(written(tmp_path / "net.safetensors"))
    few = dict(timesteps=10, schedule="cosine", features=net, guidance=2.0, compared=(1.0, 3.0))
    task = Diffusion(Echo(), (8, 8, 1), 10, tuple("abcdefghij"), trust_features=True, **few)
    image = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    batch = {**batch_of(40), "image": jnp.asarray(image), "label": jnp.arange(40) % 10}
    sums, outputs, _ = jax.jit(lambda batch: task.evaluate(STATE, batch, None))(batch)
    outputs = {"index": np.arange(40), **jax.device_get(outputs)}
    assert outputs["generated"].shape == image.shape and outputs["generated"].dtype == np.uint8
    metrics = task.finish(STATE, jax.device_get(sums), outputs)
    assert set(task.directions) <= set(metrics)
    assert {"class_agreement", "class_agreement/guidance_1", "class_agreement/guidance_3"} <= set(metrics)
    assert 0 <= metrics["class_agreement"] <= 1 and metrics["set_up/generated_count"] == 40
    shown = task.displays(STATE, sums, outputs, lambda index: {"image": image[index]})
    assert set(shown) == {"noising", "schedule", "loss_over_time", "quality"}
    with pytest.raises(UserError, match="too few"):
        dataclasses.replace(task, trust_features=False).finish(STATE, jax.device_get(sums), outputs)
    with pytest.raises(UserError, match="images of"):
        dataclasses.replace(task, image_shape=(28, 28, 1))
