"""p(target | source), token by token: Sutskever et al. 2014, https://arxiv.org/abs/1409.3215, equation 1.

Trained by teacher forcing: each target token is predicted from the true ones before it. Judged also by what the model
makes alone, one likeliest token after another. What a model must be able to do: `encode` a source, `decode` a given
target, and `step` by step make one; see models/attention/encoder_decoder.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from dlvr_jax.data.padding import padded
from dlvr_jax.data.pairs import text_of, until_end
from dlvr_jax.data.tokenizers import Listed, Tokenizer
from dlvr_jax.displays import Display, Table, Text
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.translation import bleu, chrf, longer_half, token_error_rate
from dlvr_jax.schema import Between, Number
from dlvr_jax.tasks.sampling.translator import Translator
from dlvr_jax.tasks.shown.translation import alignments, by_length, hypotheses
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

SHOWN = 24  # examples in a table


@dataclass(frozen=True)
class SequenceToSequence:
    """A target sequence for each source sequence. Losses are in nats per target token, the end included."""

    model: Any
    tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    sources: tuple[str, ...] = ()  # what `sample` takes where it is given none
    directions: ClassVar[Mapping[str, Direction]] = {
        "loss": "lower",
        "perplexity": "lower",
        "token_accuracy": "higher",
        "exact_match": "higher",
        "exact_match_long": "higher",
        "token_error_rate": "lower",
        "bleu": "higher",
        "bleu_long": "higher",
        "chrf": "higher",
    }

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        inputs = batch["source"], batch["source_length"], batch["target"][:, :-1]
        variables = dict(self.model.init({"params": key}, *inputs, train=False))
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
        """See Objective. Smoothing: Szegedy et al. 2016, section 7, over the whole target vocabulary."""
        (logits, _), after = self.model.apply(
            {"params": params, **state.variables},
            batch["source"],
            batch["source_length"],
            batch["target"][:, :-1],
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        log_p = jax.nn.log_softmax(logits)
        losses = -_of_true(log_p, batch)
        if label_smoothing is not None:
            losses = (1 - label_smoothing) * losses - label_smoothing * log_p.mean(-1)
        sums = _token_sums(losses, logits, batch)
        return sums["loss"], (after, state.carry, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "prediction", the tokens up to the end, and "weights" (batch, target, source) of attention.

        One likeliest token after another, at most as many as fit into the data's targets.
        """
        translator = Translator.of(self.model, state)
        memory = translator.encode(batch["source"], batch["source_length"])
        prediction = translator.greedy(memory, batch["target"].shape[1] - 1)
        weights = translator.weights(memory, prediction)
        return {"prediction": prediction} | ({} if weights is None else {"weights": weights})

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. Sums by teacher forcing, without smoothing; the outputs hold what the model makes alone."""
        translator, target = Translator.of(self.model, state), batch["target"][:, 1:]
        memory = translator.encode(batch["source"], batch["source_length"])
        logits = translator.logits(memory, target)
        outputs = {
            "index": batch["index"],
            "source_length": batch["source_length"],
            "target": target,
            "prediction": translator.greedy(memory, target.shape[1]),
        }
        return _token_sums(-_of_true(jax.nn.log_softmax(logits), batch), logits, batch), outputs, carry

    def finish(self, state: State, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """See Objective. BLEU and chrF are sacrebleu's; "..._long" is of sources longer than the median."""
        mean = {name: float(sums[name][0] / sums[name][1]) for name in ("loss", "token_accuracy")}
        predictions, truths = ([until_end(ids) for ids in outputs[name]] for name in ("prediction", "target"))
        texts, true_texts = ([self.target_tokenizer.decode(ids) for ids in rows] for rows in (predictions, truths))
        exact, long = _exact(outputs), longer_half(outputs["source_length"])
        of_long = [list(np.array(rows, object)[long]) for rows in (texts, true_texts)]
        return mean | {
            "perplexity": float(np.exp(mean["loss"])),
            "exact_match": float(exact.mean()),
            "exact_match_long": float(exact[long].mean()),
            "token_error_rate": token_error_rate(predictions, truths),
            "bleu": bleu(texts, true_texts),
            "bleu_long": bleu(*of_long),
            "chrf": chrf(texts, true_texts),
        }

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: examples, alignments of some, and how often sources of each length are right."""
        batch = dict(examples(outputs["index"][:SHOWN]))
        shown = self.show(batch, jax.device_get(_predict(self, state, batch)))
        return shown | {"by_length": by_length(_exact(outputs), outputs["source_length"])}

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Objective: source, prediction and truth of each, and alignments of some."""
        source, target = np.asarray(batch["source"]), np.asarray(batch["target"])
        rows = zip(source, outputs["prediction"], target, strict=True)
        to = self.target_tokenizer
        cells = tuple((text_of(s, self.tokenizer), text_of(p, to), text_of(t, to)) for s, p, t in rows)
        table = Table(("source", "prediction", "truth"), cells, "Examples")
        return {"examples": table} | self._alignments(source, outputs["prediction"], outputs.get("weights"))

    def sample(
        self,
        state: State,
        seed: int,
        *,
        source: str | None = None,
        beam: Annotated[int, Between(1, 64)] = 4,
        penalty: Annotated[float, Between(0, 10)] = 0.6,
        temperature: Annotated[float, Between(0, 10)] = 0.0,
        length: Annotated[int, Between(1, 1000)] = 50,
    ) -> dict[str, Display]:
        """See Task: the best `beam` targets for a source text, by beam search, and alignments of the best.

        With a `temperature` over 0, `beam` random targets instead. Their score is then log p at that temperature.
        """
        some = self.tokenizer.decode(range(4, min(self.tokenizer.size, 10)))
        texts = self.sources or (some,) if source is None else (self._checked(source),)
        ids, lengths = _encoded(texts, self.tokenizer)
        key = Keys(seed, 0).shared(Purpose.SAMPLING)
        found, scores, weights = jax.device_get(
            _search(self.model, beam, length, temperature > 0, state, ids, lengths, penalty, temperature, key)
        )
        decoded = {
            text: [(text_of(ids, self.target_tokenizer), float(score)) for ids, score in zip(*row, strict=True)]
            for text, row in zip(texts, zip(found, scores, strict=True), strict=True)
        }
        title = "Random targets" if temperature > 0 else "Best targets"
        return {"targets": Text(hypotheses(texts, decoded), title)} | self._alignments(ids, found[:, 0], weights)

    def _checked(self, source: str) -> str:
        """The text. Raises UserError where it is empty or has words that the model has never seen."""
        if not source.strip():
            raise UserError("--source: is empty; leave it out, or give some text")
        if isinstance(self.tokenizer, Listed) and (unknown := self.tokenizer.unknown_in(source)):
            raise UserError(f"--source: the vocabulary has no {', '.join(map(repr, unknown))}")
        return source

    def _alignments(self, source: np.ndarray, predicted: np.ndarray, weights: Any) -> dict[str, Display]:
        names = self.tokenizer, self.target_tokenizer
        return {} if weights is None else alignments(source, np.asarray(predicted), np.asarray(weights), names)


@partial(jax.jit, static_argnums=0)
def _predict(objective: SequenceToSequence, state: State, batch: Batch) -> Outputs:
    return objective.predict(state, batch)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _search(
    model: Any,
    count: int,
    length: int,
    random: bool,
    state: State,
    source: Array,
    source_length: Array,
    penalty: Array,
    temperature: Array,
    key: Key[Array, ""],
) -> tuple[Array, Array, Array | None]:
    """The best or random targets of each source, their scores, and the attention of the first."""
    translator = Translator.of(model, state)
    memory = translator.encode(source, source_length)
    if random:
        found, scores = translator.drawn(memory, count, length, temperature, key)
    else:
        found, scores = translator.best(memory, count, length, penalty)
    return found, scores, translator.weights(memory, found[:, 0])


def _of_true(log_p: Float[Array, "batch length vocabulary"], batch: Batch) -> Float[Array, "batch length"]:
    return jnp.take_along_axis(log_p, batch["target"][:, 1:, None], axis=-1)[..., 0]


def _real(batch: Batch) -> Bool[Array, "batch length"]:
    """Which of the tokens after begin count."""
    places = jnp.arange(batch["target"].shape[1] - 1)
    return batch["mask"][:, None] & (places < batch["target_length"][:, None] - 1)


def _token_sums(losses: Float[Array, "batch length"], logits: Array, batch: Batch) -> Sums:
    real = _real(batch)
    count = real.sum(dtype=jnp.float32)
    right = real & (logits.argmax(-1) == batch["target"][:, 1:])
    return {
        "loss": (jnp.where(real, losses, 0.0).sum(), count),
        "token_accuracy": (right.sum(dtype=jnp.float32), count),
    }


def _exact(outputs: Mapping[str, np.ndarray]) -> Bool[np.ndarray, " count"]:
    """Where the prediction is the target, end and all."""
    exact: np.ndarray = (outputs["prediction"] == outputs["target"]).all(-1)
    return exact


def _encoded(texts: tuple[str, ...], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Ids filled up with padding, and lengths. Raises UserError for a text without tokens."""
    rows = [tokenizer.encode(text) for text in texts]
    if not all(rows):
        raise UserError("--source: the text has no tokens")
    return padded(rows, max(map(len, rows)))
