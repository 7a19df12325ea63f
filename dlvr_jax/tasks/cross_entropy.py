"""Logits (batch, classes) against labels, for classifiers of images and of texts. Losses are in nats."""

from collections.abc import Mapping

import jax
import optax
from jaxtyping import Array, Float

from dlvr_jax.metrics.classification import classification_sums
from dlvr_jax.schema import Number
from dlvr_jax.tasks.task import Batch, Direction, Outputs, Ratio, Sums, masked_sums

DIRECTIONS: Mapping[str, Direction] = {
    "loss": "lower",
    "accuracy": "higher",
    "top5_accuracy": "higher",
    "macro_precision": "higher",
    "macro_recall": "higher",
    "macro_f1": "higher",
    "calibration_error": "lower",
}


def smoothed_loss(
    logits: Float[Array, "batch classes"],
    targets: Float[Array, "batch classes"],
    batch: Batch,
    label_smoothing: Number | None,
) -> tuple[Ratio, Sums]:
    """The loss of the real examples as a sum and a count, and it with the accuracy.

    Targets are probabilities. Smoothing: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7.
    """
    if label_smoothing is not None:
        targets = optax.smooth_labels(targets, label_smoothing)
    losses, right = optax.softmax_cross_entropy(logits, targets), logits.argmax(-1) == batch["label"]
    sums = masked_sums(batch, {"loss": losses, "accuracy": right})
    return sums["loss"], sums


def class_outputs(logits: Float[Array, "batch classes"]) -> Outputs:
    """Arrays by name: "logits" and "probabilities" (batch, classes), and the likeliest class, "prediction" (batch,)."""
    return {"logits": logits, "probabilities": jax.nn.softmax(logits), "prediction": logits.argmax(-1)}


def evaluated_classes(predicted: Outputs, batch: Batch) -> tuple[Sums, Outputs]:
    """From `class_outputs`: sums of every metric of DIRECTIONS, and what is kept of each example. No smoothing."""
    losses = optax.softmax_cross_entropy_with_integer_labels(predicted["logits"], batch["label"])
    outputs = {
        "index": batch["index"],
        "label": batch["label"],
        "prediction": predicted["prediction"],
        "confidence": predicted["probabilities"].max(-1),
        "loss": losses,
    }
    return classification_sums(predicted["logits"], batch["label"], batch["mask"], losses), outputs
