"""p(label | image), learned by cross-entropy; labels may be soft, by mixup, cutmix or smoothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, UInt8

from dlvr_jax.displays import Curves, Display, HeatMap, Images, Table
from dlvr_jax.metrics.classification import classification_sums, finish_classification
from dlvr_jax.schema import Between, Bound, Number
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Direction,
    Keys,
    Outputs,
    Params,
    Purpose,
    Ratio,
    State,
    Sums,
    Variables,
    rates,
)

SHOWN = 24  # examples in a picture
DIRECTIONS: Mapping[str, Direction] = {
    "loss": "lower",
    "accuracy": "higher",
    "top5_accuracy": "higher",
    "macro_precision": "higher",
    "macro_recall": "higher",
    "macro_f1": "higher",
    "calibration_error": "lower",
}


@dataclass(frozen=True)
class Classification:
    """One label of `num_classes` for each image. Losses are in nats."""

    model: Any
    augment: Bound
    class_names: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of images in [0, 1]
    std: tuple[float, ...]
    directions: ClassVar[Mapping[str, Direction]] = DIRECTIONS

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, self._standardized(_unit(batch["image"])), train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective."""
        return None

    def loss(
        self,
        params: Params,
        state: State,
        batch: Batch,
        keys: Keys,
        *,
        label_smoothing: Annotated[Number | None, Between(0, 1)] = None,
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective. Smoothing: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7."""
        images, targets = self.augment(
            _unit(batch["image"]),
            batch["label"],
            batch["index"],
            keys.shared(Purpose.AUGMENTATION),
            **rates(state.hyper, "augment"),
        )
        logits, after = self.model.apply(
            {"params": params, **state.variables},
            self._standardized(images),
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        if label_smoothing is not None:
            targets = optax.smooth_labels(targets, label_smoothing)
        losses = jnp.where(batch["mask"], optax.softmax_cross_entropy(logits, targets), 0.0)
        correct = batch["mask"] & (logits.argmax(-1) == batch["label"])
        loss = losses.sum(), batch["mask"].sum(dtype=jnp.float32)
        return loss, (after, state.carry, {"loss": loss, "accuracy": (correct.sum(dtype=jnp.float32), loss[1])})

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "logits" and "probabilities" (batch, classes), and the likeliest label, "prediction"."""
        logits = self.model.apply(
            {"params": state.params, **state.variables},
            self._standardized(_unit(batch["image"])),
            train=False,
            **rates(state.hyper, "model"),
        )
        if logits.shape[1:] != (len(self.class_names),):
            raise ValueError(
                f"it gives {logits.shape[1:]} an image, not a logit for each of {len(self.class_names)} classes"
            )
        return {"logits": logits, "probabilities": jax.nn.softmax(logits), "prediction": logits.argmax(-1)}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. Neither augmentation nor smoothing."""
        predicted = self.predict(state, batch)
        losses = optax.softmax_cross_entropy_with_integer_labels(predicted["logits"], batch["label"])
        outputs = {
            "index": batch["index"],
            "label": batch["label"],
            "prediction": predicted["prediction"],
            "confidence": predicted["probabilities"].max(-1),
            "loss": losses,
        }
        return classification_sums(predicted["logits"], batch["label"], batch["mask"], losses), outputs, carry

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Objective: loss, accuracy, top-5, macro precision, recall and F1, F1 per class, calibration error."""
        return finish_classification(sums)

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Task: the pictures, each with its prediction."""
        said = zip(np.asarray(outputs["prediction"]), np.asarray(outputs["probabilities"]).max(-1), strict=True)
        captions = tuple(f"{self.class_names[label]} {confidence:.2f}" for label, confidence in said)
        return {"predictions": Images(np.asarray(batch["image"]), captions, "Predictions")}

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: confusion matrix, right and most wrong examples, calibration, filters of the first layer."""
        right = outputs["label"] == outputs["prediction"]
        by_loss = np.argsort(outputs["loss"], kind="stable")
        shown: dict[str, Display | None] = {
            **class_displays(sums, self.class_names),
            "right": self._examples(outputs, np.flatnonzero(right)[:SHOWN], examples, "Right"),
            "most_wrong": self._examples(outputs, by_loss[::-1][~right[by_loss[::-1]]][:SHOWN], examples, "Most wrong"),
        }
        shown["filters"] = _first_filters(state.params, channels=len(self.mean))
        return {name: display for name, display in shown.items() if display is not None}

    def _standardized(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        return (images - jnp.array(self.mean)) / jnp.array(self.std)

    def _examples(
        self, outputs: Mapping[str, np.ndarray], rows: np.ndarray, examples: Callable[[np.ndarray], Batch], title: str
    ) -> Images | None:
        """Pictures captioned 'prediction 0.98', and what is true where that differs."""
        if not len(rows):
            return None
        captions = []
        for row in rows:
            predicted, true = self.class_names[outputs["prediction"][row]], self.class_names[outputs["label"][row]]
            caption = f"{predicted} {outputs['confidence'][row]:.2f}"
            captions.append(caption if predicted == true else f"{caption}, is {true}")
        return Images(np.asarray(examples(outputs["index"][rows])["image"]), tuple(captions), title)


def _unit(images: UInt8[Array, "batch height width channels"]) -> Float[Array, "batch height width channels"]:
    """Bytes as numbers in [0, 1]."""
    return images.astype(jnp.float32) / 255


def class_displays(sums: Any, names: tuple[str, ...]) -> dict[str, Display]:
    """What a classifier of anything shows of its added sums: confusion matrix, scores per class, calibration."""
    return {
        "confusion": HeatMap(sums["confusion"][0], names, names, "predicted", "true", "Confusion"),
        "classes": _class_table(finish_classification(sums), names),
        "calibration": _calibration(sums["calibration"]),
    }


def _class_table(metrics: Mapping[str, float], names: tuple[str, ...]) -> Table:
    kinds = ("precision", "recall", "f1")
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, *(metrics[f"{kind}/{i}"] for kind in kinds)) for i, name in enumerate(names)
    )
    return Table(("class", *kinds), rows, "Per class")


def _calibration(sums: tuple[np.ndarray, np.ndarray]) -> Curves:
    """Mean confidence of each bin against the accuracy in it.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, figure 4.
    """
    (confidence, correct), count = sums
    bins = count > 0
    x = confidence[bins] / count[bins]
    return Curves(
        x, np.stack([correct[bins] / count[bins], x]), ("model", "perfect"), "confidence", "accuracy", "Calibration"
    )


def _first_filters(params: Params, channels: int) -> Images | None:
    """The kernels that see the image, stretched to bytes; None for a model without them."""
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 4 and leaf.shape[2] == channels]
    if not kernels or channels not in (1, 3):
        return None
    filters = kernels[0].transpose(3, 0, 1, 2)
    low, high = filters.min(), filters.max()
    return Images((255 * (filters - low) / max(high - low, 1e-12)).astype(np.uint8), (), "Filters of the first layer")
