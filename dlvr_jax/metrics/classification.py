"""Metrics of single-label classification, as sums that add over batches, steps and devices until they are printed."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from dlvr_jax.errors import UserError

Sums = dict[str, tuple[Array, Array]]  # name -> (numerator, denominator)

CALIBRATION_BINS = 15  # as Guo et al. 2017


def classification_sums(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    losses: Float[Array, " batch"],
) -> Sums:
    """The sums of one batch, all float32; counts are exact up to 2^24, so add batches in float64 before that.

    loss, accuracy, top5: (sum over real examples, their count); top5 is among the best min(5, classes).
    confusion: (counts of shape (classes, classes), rows = true class, columns = predicted, the count).
    calibration: (shape (2, 15): sums of confidence and of right answers by bin of confidence; counts of shape (15,)).
    Rows where `mask` is false contribute nothing, whatever they hold, NaN included. Equal logits: the lower class wins.
    """
    classes = logits.shape[-1]
    logits = jnp.where(mask[:, None], logits.astype(jnp.float32), 0.0)
    labels = jnp.where(mask, labels, 0)
    real = mask.astype(jnp.float32)
    count = real.sum()
    predicted = logits.argmax(-1)
    right = real * (predicted == labels)
    best = jax.lax.top_k(logits, min(5, classes))[1]
    return {
        "loss": (jnp.where(mask, losses.astype(jnp.float32), 0.0).sum(), count),
        "accuracy": (right.sum(), count),
        "top5": ((real * (best == labels[:, None]).any(-1)).sum(), count),
        "confusion": (jnp.zeros((classes, classes)).at[labels, predicted].add(real), count),
        "calibration": _calibration_sums(logits, right, real),
    }


def _calibration_sums(
    logits: Float[Array, "batch classes"], right: Float[Array, " batch"], real: Float[Array, " batch"]
) -> tuple[Float[Array, "2 bins"], Float[Array, " bins"]]:
    """Per bin ((m - 1) / 15, m / 15] of the largest probability: its sum, that of right answers, and the count."""
    confidence = jax.nn.softmax(logits).max(-1)
    bin_of = jnp.clip(jnp.ceil(confidence * CALIBRATION_BINS).astype(jnp.int32) - 1, 0, CALIBRATION_BINS - 1)
    values = jnp.stack([confidence * real, right, real])
    sums = jnp.zeros((3, CALIBRATION_BINS)).at[:, bin_of].add(values)
    return sums[:2], sums[2]


def finish_classification(sums: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> dict[str, float]:
    """The metrics of all examples that went into `sums`, worked out on the host in float64.

    loss, accuracy, top5_accuracy, calibration_error; macro_precision, macro_recall, macro_f1, and the same for each
    class as `precision/3`, `recall/3`, `f1/3`. What would be 0 / 0 (a class that is never true, or never predicted)
    counts as 0 and stays in the macro mean, as scikit-learn has it with `zero_division=0`.
    """
    host = {name: tuple(np.asarray(part, np.float64) for part in pair) for name, pair in sums.items()}
    if host["loss"][1] == 0:
        raise UserError("no example was evaluated, so there are no metrics: the split is empty; choose another one")
    metrics = {name: float(host[key][0] / host[key][1]) for name, key in _RATIOS.items()}
    metrics["calibration_error"] = _calibration_error(*host["calibration"])
    by_class = _per_class(host["confusion"][0])
    metrics |= {f"macro_{name}": float(values.mean()) for name, values in by_class.items()}
    return metrics | {f"{name}/{i}": float(v) for name, values in by_class.items() for i, v in enumerate(values)}


_RATIOS = {"loss": "loss", "accuracy": "accuracy", "top5_accuracy": "top5"}


def _per_class(confusion: Float[np.ndarray, "classes classes"]) -> dict[str, Float[np.ndarray, " classes"]]:
    """Precision, recall and F1 of each class from the counts of (true, predicted)."""
    hits, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, true),
        "f1": _ratio(2 * hits, true + predicted),
    }


def _ratio(over: Float[np.ndarray, " n"], under: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """over / under, 0 where `under` is 0."""
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)


def _calibration_error(sums: Float[np.ndarray, "2 bins"], counts: Float[np.ndarray, " bins"]) -> float:
    """The expected calibration error of Guo et al. 2017, equation 3: mean over examples of |confidence - accuracy|."""
    confidence, right = sums
    return float(np.abs(confidence - right).sum() / counts.sum())
