"""p(class | text), learned by cross-entropy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.displays import Display, Text
from dlvr_jax.metrics.classification import classification_sums, finish_classification
from dlvr_jax.schema import Between, Number
from dlvr_jax.tasks.classification import SHOWN, Classification, class_displays
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


@dataclass(frozen=True)
class TextClassification:
    """One of `class_names` for each text. Losses are in nats.

    The model gives logits (batch, classes) for tokens (batch, words) and lengths (batch,).
    """

    model: Any
    class_names: tuple[str, ...]
    tokenizer: Tokenizer
    directions: ClassVar[Mapping[str, Direction]] = Classification.directions

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, batch["tokens"], batch["length"], train=False))
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
        logits, after = self.model.apply(
            {"params": params, **state.variables},
            batch["tokens"],
            batch["length"],
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        targets = jax.nn.one_hot(batch["label"], len(self.class_names))
        if label_smoothing is not None:
            targets = optax.smooth_labels(targets, label_smoothing)
        losses = jnp.where(batch["mask"], optax.softmax_cross_entropy(logits, targets), 0.0)
        right = batch["mask"] & (logits.argmax(-1) == batch["label"])
        loss = losses.sum(), batch["mask"].sum(dtype=jnp.float32)
        return loss, (after, state.carry, {"loss": loss, "accuracy": (right.sum(dtype=jnp.float32), loss[1])})

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "logits" and "probabilities" (batch, classes), and the likeliest class, "prediction"."""
        logits = self.model.apply(
            {"params": state.params, **state.variables},
            batch["tokens"],
            batch["length"],
            train=False,
            **rates(state.hyper, "model"),
        )
        return {"logits": logits, "probabilities": jax.nn.softmax(logits), "prediction": logits.argmax(-1)}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. No smoothing."""
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
        """See Objective: as of images."""
        return finish_classification(sums)

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: confusion matrix, metrics by class, calibration, the most wrong texts."""
        wrong = np.flatnonzero(outputs["label"] != outputs["prediction"])
        worst = wrong[np.argsort(-outputs["loss"][wrong], kind="stable")][:SHOWN]
        shown = class_displays(sums, self.class_names)
        if len(worst):
            chosen = {name: array[worst] for name, array in outputs.items()}
            passages = self._passages(examples(chosen["index"]), chosen, chosen["label"])
            shown["most_wrong"] = Text(passages, "The texts that the model gets most wrong")
        return shown

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Objective: each text under the class that the model gives it."""
        confident = {**outputs, "confidence": np.asarray(outputs["probabilities"]).max(-1)}
        return {"texts": Text(self._passages(batch, confident, None), "As the model classifies them")}

    def _passages(self, batch: Batch, outputs: Mapping[str, np.ndarray], labels: Any) -> tuple[str, ...]:
        """'fresh 0.98, is rotten: the text'."""
        passages = []
        for row, (tokens, length) in enumerate(zip(batch["tokens"], batch["length"], strict=True)):
            said = f"{self.class_names[outputs['prediction'][row]]} {outputs['confidence'][row]:.2f}"
            truth = "" if labels is None else f", is {self.class_names[labels[row]]}"
            passages.append(f"{said}{truth}: {self.tokenizer.decode(np.asarray(tokens)[:length].tolist())}")
        return tuple(passages)
