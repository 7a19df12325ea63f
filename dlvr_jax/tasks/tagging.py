"""p(tag | sentence) for every word, learned by cross-entropy; judged by whole spans."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Key

from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.displays import Display, HeatMap, Text
from dlvr_jax.metrics.entities import count_spans, spans
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

SHOWN = 24  # sentences in a display


@dataclass(frozen=True)
class Tagging:
    """One of `class_names`, in BIO notation ("O", "B-NAME", "I-NAME"), for each word. Losses are in nats a word.

    The model gives logits (batch, words, classes) for tokens (batch, words) and lengths (batch,). A batch's loss is
    the mean over its words, so long sentences weigh more.
    """

    model: Any
    class_names: tuple[str, ...]
    tokenizer: Tokenizer
    directions: ClassVar[Mapping[str, Direction]] = {
        "loss": "lower",
        "accuracy": "higher",
        "entity_precision": "higher",
        "entity_recall": "higher",
        "entity_f1": "higher",
    }

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, batch["tokens"], batch["length"], train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective."""
        return None

    def loss(
        self, params: Params, state: State, batch: Batch, keys: Keys
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective: the sum over real words, and their count."""
        logits, after = self.model.apply(
            {"params": params, **state.variables},
            batch["tokens"],
            batch["length"],
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        real = _real(batch)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["tags"])
        loss = jnp.where(real, losses, 0).sum(), real.sum(dtype=jnp.float32)
        right = (real & (logits.argmax(-1) == batch["tags"])).sum(dtype=jnp.float32)
        return loss, (after, state.carry, {"loss": loss, "accuracy": (right, loss[1])})

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "logits" (batch, words, classes), and the likeliest tag of each word, "prediction"."""
        logits = self.model.apply(
            {"params": state.params, **state.variables},
            batch["tokens"],
            batch["length"],
            train=False,
            **rates(state.hyper, "model"),
        )
        return {"logits": logits, "prediction": logits.argmax(-1)}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective."""
        predicted, real = self.predict(state, batch), _real(batch)
        losses = optax.softmax_cross_entropy_with_integer_labels(predicted["logits"], batch["tags"])
        losses, count = jnp.where(real, losses, 0), real.sum(dtype=jnp.float32)
        right = real & (predicted["prediction"] == batch["tags"])
        classes = len(self.class_names)
        confusion = jnp.zeros((classes, classes)).at[batch["tags"], predicted["prediction"]].add(real)
        sums = {
            "loss": (losses.sum(), count),
            "accuracy": (right.sum(dtype=jnp.float32), count),
            "confusion": (confusion, count),
        }
        outputs = {
            "index": batch["index"],
            "tags": batch["tags"],
            "length": batch["length"],
            "prediction": predicted["prediction"],
            "loss": losses.sum(-1),
        }
        return sums, outputs, carry

    def finish(
        self, state: State, sums: Mapping[str, tuple[Any, Any]], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        """See Objective: loss and accuracy a word; precision, recall and F1 of spans, also by type if several."""
        metrics = {name: float(sums[name][0] / sums[name][1]) for name in ("loss", "accuracy")}
        counts = count_spans(outputs["tags"], outputs["prediction"], outputs["length"], self.class_names)
        together = counts.pop("")
        metrics |= {f"entity_{name}": getattr(together, name) for name in ("precision", "recall", "f1")}
        return metrics | {f"entity_f1/{kind}": one.f1 for kind, one in counts.items() if len(counts) > 1}

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: which tag is taken for which, and the sentences with the greatest loss."""
        worst = np.argsort(-outputs["loss"], kind="stable")[:SHOWN]
        batch, passages = examples(outputs["index"][worst]), []
        for row, number in enumerate(worst):
            words = self._words(batch["tokens"][row], outputs["length"][number])
            passages += [
                f"model: {self._marked(words, outputs['prediction'][number])}",
                f"truth: {self._marked(words, outputs['tags'][number])}",
            ]
        confusion = sums["confusion"][0]
        return {
            "confusion": HeatMap(confusion, self.class_names, self.class_names, "predicted", "true", "Confusion"),
            "most_wrong": Text(tuple(passages), "The sentences that the model gets most wrong"),
        }

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Objective: each sentence with the spans that the model finds in brackets."""
        passages = [
            self._marked(self._words(tokens, length), tags)
            for tokens, length, tags in zip(batch["tokens"], batch["length"], outputs["prediction"], strict=True)
        ]
        return {"sentences": Text(tuple(passages), "Tagged by the model")}

    def _words(self, tokens: Any, length: Any) -> list[str]:
        """Words; rare ones are known by their shape only."""
        return [self.tokenizer.decode([token]) for token in np.asarray(tokens)[:length].tolist()]

    def _marked(self, words: list[str], tags: Any) -> str:
        """'The [Fulton County](NAME) jury said'."""
        words = list(words)
        for start, end, kind in spans([self.class_names[tag] for tag in tags[: len(words)]]):
            words[start] = "[" + words[start]
            words[end - 1] += f"]({kind})"
        return " ".join(words)


def _real(batch: Batch) -> Bool[Array, "batch words"]:
    """Where a real sentence has a word."""
    return batch["mask"][:, None] & (jnp.arange(batch["tokens"].shape[1]) < batch["length"][:, None])
