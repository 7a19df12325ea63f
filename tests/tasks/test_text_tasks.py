"""Tagging, text classification and forecasting: what padding, masks and displays do."""

from functools import cache

import jax
import numpy as np
import pytest

from dlvr_jax.data.tokenizers import Listed
from dlvr_jax.displays import Curves, HeatMap, Table, Text
from dlvr_jax.models.modern_rnn.bidirectional import Tagger, TextClassifier
from dlvr_jax.models.rnn.elman import Elman
from dlvr_jax.schema import Bound
from dlvr_jax.tasks.forecasting import Forecasting
from dlvr_jax.tasks.from_loss import LossTask
from dlvr_jax.tasks.tagging import Tagging
from dlvr_jax.tasks.task import Keys
from dlvr_jax.tasks.text_classification import TextClassification
from dlvr_jax.training.optimizers import Chain, sgd
from dlvr_jax.training.schedules import constant

WORDS = Listed(("<padding>", "<xxx>", "a", "b", "c"), unknown=1)
ABSENT = ("train.ema", "optimizer.clip_norm", "optimizer.weight_decay", "optimizer.l2")
HYPER = {"optimizer.learning_rate": 0.1, **dict.fromkeys(ABSENT)}
TASKS = {
    "tagging": Tagging(Tagger(3, 5, embedding=4, width=4), ("O", "B-NAME", "I-NAME"), WORDS),
    "text": TextClassification(TextClassifier(2, 5, embedding=4, width=4), ("bad", "good"), WORDS),
    "series": Forecasting(Elman(3, width=4), (10.0,), (2.0,), 3, period=2),
}


def batch_of(name: str, rows: int = 6) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    batch = {"index": np.arange(rows, dtype=np.int32), "mask": np.arange(rows) < rows - 2}
    if name == "series":
        values = 10 + 2 * random.standard_normal((rows, 11)).astype(np.float32)
        return batch | {"history": values[:, :8, None], "future": values[:, 8:]}
    length = np.array([5, 1, 3, 4, 2, 5], np.int32)
    tokens = np.where(np.arange(5) < length[:, None], random.integers(1, 5, (rows, 5)), 0).astype(np.int32)
    batch |= {"tokens": tokens, "length": length}
    if name == "tagging":
        return batch | {"tags": (tokens % 3).astype(np.int32)}
    return batch | {"label": np.arange(rows, dtype=np.int32) % 2}


@cache
def made(name: str):
    """The task, its first state and its compiled evaluation."""
    task = LossTask(TASKS[name], Chain(Bound(sgd), Bound(constant), 1, frozenset()))
    state = jax.jit(lambda batch: task.init(np.uint32(0), HYPER, batch))(batch_of(name))
    return task, state, jax.jit(task.eval_step)


def evaluated(name: str, batch: dict[str, np.ndarray]):
    task, state, program = made(name)
    sums, outputs, _ = program(state, batch, None)
    real = batch["mask"]
    return task, state, jax.device_get(sums), {key: np.asarray(one)[real] for key, one in outputs.items()}


@pytest.mark.parametrize("name", TASKS)
def test_rows_that_are_not_real_count_for_nothing(name: str) -> None:
    batch = batch_of(name)
    other = {key: np.where(batch["mask"].reshape(-1, *[1] * (a.ndim - 1)), a, 1) for key, a in batch.items()}
    other["mask"], other["index"] = batch["mask"], batch["index"]
    task, state, sums, outputs = evaluated(name, batch)
    _, _, again, _ = evaluated(name, {key: a.astype(batch[key].dtype) for key, a in other.items()})
    jax.tree.map(np.testing.assert_array_equal, sums, again)
    loss, _ = jax.jit(lambda state, batch: TASKS[name].loss(state.params, state, batch, Keys(0, 0)))(state, batch)
    np.testing.assert_allclose(loss[0] / loss[1], sums["loss"][0] / sums["loss"][1], rtol=1e-5)  # other shapes: f32
    assert set(task.directions) <= set(task.finish(state, sums, outputs))


def test_the_loss_of_tagging_is_a_mean_over_words() -> None:
    batch = batch_of("tagging")
    task, state, sums, outputs = evaluated("tagging", batch)
    logits = np.asarray(jax.jit(task.predict)(state, batch)["logits"], np.float64)
    real = batch["mask"][:, None] & (np.arange(5) < batch["length"][:, None])
    chosen = np.take_along_axis(logits - np.log(np.exp(logits).sum(-1, keepdims=True)), batch["tags"][..., None], -1)
    metrics = task.finish(state, sums, outputs)
    assert sums["loss"][1] == batch["length"][:4].sum() == real.sum()
    np.testing.assert_allclose(metrics["loss"], -chosen[..., 0][real].mean(), rtol=1e-5)
    assert metrics["accuracy"] == pytest.approx((logits.argmax(-1) == batch["tags"])[real].mean())


@pytest.mark.parametrize("name", TASKS)
def test_displays_and_predictions_are_made(name: str) -> None:
    batch = batch_of(name)
    task, state, sums, outputs = evaluated(name, batch)
    features = {key: one for key, one in batch.items() if key not in ("index", "mask")}
    shown = task.displays(state, sums, outputs, lambda index: {key: one[index] for key, one in features.items()})
    shown |= task.show(features, {key: np.asarray(one) for key, one in jax.jit(task.predict)(state, features).items()})
    kinds = {key: type(one) for key, one in shown.items()}
    if name == "tagging":
        assert kinds == {"confusion": HeatMap, "most_wrong": Text, "sentences": Text}
        assert all(passage.startswith(("model: ", "truth: ")) for passage in shown["most_wrong"].passages)
    if name == "text":
        assert kinds["confusion"] is HeatMap and kinds["classes"] is Table and kinds["texts"] is Text
        assert all(passage.startswith(("bad 0.", "good 0.")) for passage in shown["texts"].passages)
    if name == "series":
        assert kinds["skill"] is Table and kinds["by_horizon"] is Curves and kinds["ahead_3"] is Curves
        curve = shown["forecast_00"]
        assert curve.x.tolist() == list(range(-7, 4))
        assert np.isnan(curve.y[1, :7]).all() and curve.y[1, 7] == curve.y[0, 7]  # from the last that is known on


def test_spans_stand_in_brackets() -> None:
    outputs = {"prediction": np.array([[1, 2, 0, 1, 1]])}
    batch = {"tokens": np.array([[2, 3, 4, 1, 0]]), "length": np.array([4])}
    assert TASKS["tagging"].show(batch, outputs)["sentences"].passages == ("[a b](NAME) c [<xxx>](NAME)",)


def test_forecasts_are_in_the_units_of_the_data() -> None:
    batch = batch_of("series")
    task, state, sums, outputs = evaluated("series", batch)
    metrics = task.finish(state, sums, outputs)
    errors = (outputs["forecast"] - outputs["future"]).astype(np.float64)
    assert metrics["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert metrics["loss"] == pytest.approx((errors**2).mean() / 4, rel=1e-5)  # of values over their deviation, 2
    assert metrics["mae/2"] == pytest.approx(np.abs(errors[:, 1]).mean(), rel=1e-5)
    assert "skill_seasonal" in metrics
