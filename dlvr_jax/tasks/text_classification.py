"""p(class | text), learned by cross-entropy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import numpy as np
from jaxtyping import Array, Key

from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.displays import Display, Text
from dlvr_jax.metrics.classification import finish_classification
from dlvr_jax.schema import Between, Number
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

SHOWN = 24  # texts


@dataclass(frozen=True)
class TextClassification:
    """One of `class_names` for each text. Losses are in nats.

    The model gives logits (batch, classes) for tokens (batch, words) and lengths (batch,).
    """

    model: Any
    class_names: tuple[str, ...]
    tokenizer: Tokenizer
    directions: ClassVar[Mapping[str, Direction]] = DIRECTIONS

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
        """See Objective and `smoothed_loss`."""
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
        loss, sums = smoothed_loss(logits, targets, batch, label_smoothing)
        return loss, (after, state.carry, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective and `class_outputs`."""
        logits = self.model.apply(
            {"params": state.params, **state.variables},
            batch["tokens"],
            batch["length"],
            train=False,
            **rates(state.hyper, "model"),
        )
        return class_outputs(logits)

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. No smoothing."""
        sums, outputs = evaluated_classes(self.predict(state, batch), batch)
        return sums, outputs, carry

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
