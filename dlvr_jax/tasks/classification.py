"""p(label | image), learned by cross-entropy; labels may be soft, by mixup, cutmix or smoothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from dlvr_jax.displays import Display, Images
from dlvr_jax.metrics.classification import finish_classification
from dlvr_jax.schema import Between, Bound, Number
from dlvr_jax.tasks.cross_entropy import DIRECTIONS, class_outputs, evaluated_classes, smoothed_loss
from dlvr_jax.tasks.shown.classification import class_displays
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
        """See Objective and `smoothed_loss`."""
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
        loss, sums = smoothed_loss(logits, targets, batch, label_smoothing)
        return loss, (after, state.carry, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective and `class_outputs`."""
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
        return class_outputs(logits)

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. Neither augmentation nor smoothing."""
        sums, outputs = evaluated_classes(self.predict(state, batch), batch)
        return sums, outputs, carry

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


def _first_filters(params: Params, channels: int) -> Images | None:
    """The kernels that see the image, stretched to bytes; None for a model without them."""
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 4 and leaf.shape[2] == channels]
    if not kernels or channels not in (1, 3):
        return None
    filters = kernels[0].transpose(3, 0, 1, 2)
    low, high = filters.min(), filters.max()
    return Images((255 * (filters - low) / max(high - low, 1e-12)).astype(np.uint8), (), "Filters of the first layer")
