"""Classification metrics against scikit-learn, however the examples are cut into batches and padded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.classification import classification_sums, finish_classification

sums_of = jax.jit(classification_sums)
cases = st.tuples(st.integers(1, 40), st.sampled_from([2, 3, 7]), st.integers(0, 2**31 - 1))
some = settings(deadline=None, max_examples=25)


def examples(count: int, classes: int, seed: int):
    """Random logits that often agree with labels from a few of the classes, so that some stay empty."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, random.integers(1, classes + 1), count).astype(np.int32)
    logits = (random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]).astype(np.float32)
    return logits, labels, random.exponential(size=count).astype(np.float32)


def add_up(logits, labels, losses, batch: int = 64):
    """In batches of one size, the last one padded with rows that must not count, added up in float64."""
    total = None
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        missing = batch - len(labels[part])
        sums = sums_of(
            jnp.asarray(np.pad(logits[part], ((0, missing), (0, 0)), constant_values=np.nan)),
            jnp.asarray(np.pad(labels[part], (0, missing), constant_values=-1)),
            np.arange(batch) < batch - missing,
            jnp.asarray(np.pad(losses[part], (0, missing), constant_values=np.inf)),
        )
        host = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), sums)
        total = host if total is None else jax.tree.map(np.add, total, host)
    return total


def evaluate(logits, labels, losses, batch: int = 64) -> dict[str, float]:
    return finish_classification(add_up(logits, labels, losses, batch))


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Guo et al. 2017, equations 2 and 3, bin by bin."""
    confidence, right = softmax(logits, 1).max(1), logits.argmax(1) == labels
    error = 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean(dtype=np.float64))
    return error


@some
@given(cases)
def test_they_are_those_of_scikit_learn(case) -> None:
    logits, labels, losses = examples(*case)
    classes, predicted = np.arange(case[1]), logits.argmax(1)
    metrics = evaluate(logits, labels, losses)
    assert metrics["accuracy"] == accuracy_score(labels, predicted)
    assert metrics["loss"] == pytest.approx(losses.mean(dtype=np.float64), rel=1e-6)  # a float32 sum of at most 40
    expected = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)[:3]
    for name, values in zip(("precision", "recall", "f1"), expected, strict=True):
        np.testing.assert_allclose([metrics[f"{name}/{i}"] for i in classes], values, rtol=1e-12)
        assert metrics[f"macro_{name}"] == pytest.approx(values.mean(), rel=1e-12)


@some
@given(cases)
def test_confusion_top_5_and_calibration(case) -> None:
    logits, labels, losses = examples(*case)
    classes = np.arange(case[1])
    sums = add_up(logits, labels, losses)
    np.testing.assert_array_equal(sums["confusion"][0], confusion_matrix(labels, logits.argmax(1), labels=classes))
    metrics = finish_classification(sums)
    if case[1] > 5:
        assert metrics["top5_accuracy"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=classes))
    else:
        assert metrics["top5_accuracy"] == 1
    assert metrics["calibration_error"] == pytest.approx(calibration_error(logits, labels), abs=1e-6)  # f32 sums of 40


@some
@given(cases, st.sampled_from([1, 7, 16]))
def test_the_batch_size_does_not_matter(case, batch: int) -> None:
    logits, labels, losses = examples(*case)
    one, other = evaluate(logits, labels, losses), evaluate(logits, labels, losses, batch=batch)
    for name, value in one.items():
        # Counts are exact; losses and confidences are float32 sums in another order.
        exact = name not in ("loss", "calibration_error")
        assert other[name] == (value if exact else pytest.approx(value, rel=1e-5, abs=1e-6)), name


def test_perfect_and_confident_means_no_error() -> None:
    labels = np.arange(4, dtype=np.int32)
    metrics = evaluate(100 * np.eye(4, dtype=np.float32), labels, np.zeros(4, np.float32), batch=3)
    assert metrics["calibration_error"] == metrics["loss"] == 0
    assert all(metrics[name] == 1 for name in ("accuracy", "top5_accuracy", "macro_f1", "f1/2"))


def test_equal_logits_are_no_success() -> None:
    metrics = evaluate(np.zeros((14, 7), np.float32), np.arange(14, dtype=np.int32) % 7, np.ones(14, np.float32), 14)
    assert metrics["accuracy"] == pytest.approx(1 / 7) and metrics["top5_accuracy"] == pytest.approx(5 / 7)


def test_bfloat16_logits_are_counted_in_float32() -> None:
    mask = jnp.ones(300, bool)
    sums = sums_of(jnp.zeros((300, 2), jnp.bfloat16), jnp.zeros(300, jnp.int32), mask, jnp.ones(300, jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(sums)} == {jnp.dtype("float32")}
    assert float(sums["accuracy"][0]) == float(sums["loss"][0]) == 300  # bfloat16 ends at 256


def test_nothing_evaluated_is_said() -> None:
    sums = sums_of(jnp.zeros((3, 2)), jnp.zeros(3, jnp.int32), jnp.zeros(3, bool), jnp.full(3, jnp.nan))
    with pytest.raises(UserError, match="no example was evaluated"):
        finish_classification(sums)


def test_a_broken_model_is_not_hidden() -> None:
    sums = sums_of(jnp.full((3, 2), jnp.nan), jnp.ones(3, jnp.int32), jnp.ones(3, bool), jnp.full(3, jnp.nan))
    metrics = finish_classification(sums)
    assert np.isnan(metrics["loss"]) and metrics["accuracy"] == 0
