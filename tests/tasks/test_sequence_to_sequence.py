import dataclasses
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlvr_jax.data.pairs import BEGIN, END, PADDING, UNKNOWN, encode, listed
from dlvr_jax.displays import Alignment
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.translation import bleu
from dlvr_jax.models.attention.encoder_decoder import EncoderDecoder
from dlvr_jax.models.transformer.transformer import Transformer
from dlvr_jax.tasks.sampling.translator import Translator
from dlvr_jax.tasks.sequence_to_sequence import SequenceToSequence
from dlvr_jax.tasks.task import Keys, State

LETTERS = listed("abcd")
PAIRS = [("a b c", "c b a"), ("d", "d"), ("a a b b", "b b a a"), ("c d", "d c")]
LENGTH = 5  # the target's, without begin
MODELS = {
    "recurrent": EncoderDecoder(LETTERS.size, LETTERS.size, attention="luong_general", width=8, embedding=6),
    "transformer": Transformer(LETTERS.size, LETTERS.size, width=8, layers=1, num_heads=2),
    "none": EncoderDecoder(LETTERS.size, LETTERS.size, attention="none", width=8, embedding=6),
}
every_model = pytest.mark.parametrize("name", MODELS)


def batch_of(pairs=PAIRS, room: int = 4):
    arrays = encode(pairs, LETTERS, LETTERS, 4, room)
    return arrays | {"index": np.arange(len(pairs)), "mask": np.ones(len(pairs), bool)}


def made(logits):
    """Without what no model makes."""
    return logits.at[..., jnp.array([PADDING, BEGIN, UNKNOWN])].set(-jnp.inf)


@lru_cache
def task_and_state(name: str) -> tuple[SequenceToSequence, State]:
    task = SequenceToSequence(MODELS[name], LETTERS, LETTERS, sources=("a b", "c"))
    params, variables = jax.jit(task.init)(jax.random.key(0), batch_of())
    params = jax.tree.map(lambda leaf: 2 * leaf, params)
    zero = jnp.zeros((), jnp.int32)
    return task, State(params, variables, None, None, None, {"model.dropout": None}, jnp.uint32(0), zero, zero)


def loss_of(name: str, batch, **rates):
    task, state = task_and_state(name)
    run = jax.jit(lambda state, batch: task.loss(state.params, state, batch, Keys(state.seed, 0), **rates))
    (total, count), _ = run(state, batch)
    return float(total), float(count)


@every_model
@pytest.mark.parametrize("smoothing", [None, 0.1])
def test_the_loss_is_the_cross_entropy_of_real_tokens(name: str, smoothing: float | None) -> None:
    task, state = task_and_state(name)
    batch = batch_of()
    logits, _ = jax.jit(lambda *inputs: task.model.apply({"params": state.params}, *inputs, train=False))(
        batch["source"], batch["source_length"], batch["target"][:, :-1]
    )
    targets = optax.smooth_labels(jax.nn.one_hot(batch["target"][:, 1:], LETTERS.size), smoothing or 0.0)
    losses = np.asarray(optax.softmax_cross_entropy(logits, targets))
    real = [losses[row, : len(pair[1].split()) + 1].sum() for row, pair in enumerate(PAIRS)]
    total, count = loss_of(name, batch, label_smoothing=smoothing)
    assert count == sum(len(target.split()) + 1 for _, target in PAIRS)
    np.testing.assert_allclose(total, sum(real), rtol=1e-5)


@every_model
def test_padding_and_masked_rows_add_nothing_to_the_loss(name: str) -> None:
    total, count = loss_of(name, batch_of())
    np.testing.assert_allclose(loss_of(name, batch_of(room=6)), (total, count), rtol=1e-5)
    masked = batch_of() | {"mask": np.array([True, False, True, True])}
    np.testing.assert_allclose(loss_of(name, masked), loss_of(name, batch_of([PAIRS[i] for i in (0, 2, 3)])), rtol=1e-5)


@every_model
def test_greedy_predictions_are_the_likeliest_by_teacher_forcing(name: str) -> None:
    task, state = task_and_state(name)
    batch = batch_of()
    outputs = jax.jit(task.predict)(state, batch)
    prediction = np.asarray(outputs["prediction"])
    target_in = np.pad(prediction[:, :-1], ((0, 0), (1, 0)), constant_values=BEGIN)
    logits, weights = jax.jit(lambda *inputs: task.model.apply({"params": state.params}, *inputs, train=False))(
        batch["source"], batch["source_length"], target_in
    )
    for row in range(len(PAIRS)):
        ids = prediction[row].tolist()
        end = ids.index(END) + 1 if END in ids else LENGTH
        np.testing.assert_array_equal(made(logits[row, :end]).argmax(-1), ids[:end])
    assert ("weights" in outputs) == (name != "none")
    if weights is not None:
        np.testing.assert_allclose(outputs["weights"], weights, atol=1e-5)


def test_perfect_and_wrong_predictions_are_scored() -> None:
    task, state = task_and_state("recurrent")
    target = batch_of()["target"][:, 1:]
    sums = {"loss": (np.float64(3), np.float64(2)), "token_accuracy": (np.float64(1), np.float64(2))}
    outputs = {"target": target, "prediction": target, "source_length": np.array([3, 1, 4, 2])}
    perfect = task.finish(state, sums, outputs)
    assert perfect["exact_match"] == perfect["exact_match_long"] == 1
    assert perfect["perplexity"] == pytest.approx(np.exp(1.5))
    assert perfect["token_error_rate"] == 0
    assert set(perfect) == set(task.directions)
    wrong = target.copy()
    wrong[2, 0] = LETTERS.encode("d")[0]  # "d b a a" for "b b a a", the longest
    scored = task.finish(state, sums, outputs | {"prediction": wrong})
    assert (scored["exact_match"], scored["exact_match_long"]) == (0.75, 0.5)
    assert scored["token_error_rate"] == pytest.approx(1 / 10)
    assert scored["bleu_long"] == pytest.approx(bleu(["c b a", "d b a a"], ["c b a", "b b a a"]))


@every_model
def test_samples_are_the_best_or_random_targets(name: str) -> None:
    task, state = task_and_state(name)
    best = task.sample(state, 0, beam=2, length=4)
    assert len(best["targets"].passages) == 2
    assert best["targets"].passages[0].startswith("a b\n") and len(best["targets"].passages[0].splitlines()) == 3
    aligned = [display for display in best.values() if isinstance(display, Alignment)]
    assert len(aligned) == (0 if name == "none" else 2)
    for display in aligned:
        assert display.weights.shape == (len(display.target), len(display.source))
        np.testing.assert_allclose(display.weights.sum(-1), 1, atol=1e-5)
    one, again, other = (task.sample(state, seed, temperature=2.0, beam=8, length=4) for seed in (1, 1, 2))
    assert one["targets"] == again["targets"] != other["targets"]
    later = dataclasses.replace(state, step=state.step + 1)
    assert task.sample(later, 1, temperature=2.0, beam=8, length=4)["targets"] == one["targets"]


def test_sources_that_cannot_be_are_told() -> None:
    task, state = task_and_state("recurrent")
    for empty in ("", " "):
        with pytest.raises(UserError, match="--source: is empty; leave it out"):
            task.sample(state, 0, source=empty)
    with pytest.raises(UserError, match="--source: the vocabulary has no 'x', 'bc'"):
        task.sample(state, 0, source="a x bc x")


@every_model
def test_the_score_of_a_random_target_is_its_log_probability(name: str) -> None:
    task, state = task_and_state(name)
    batch = jax.tree.map(jnp.asarray, batch_of())

    def run(state):
        translator = Translator.of(task.model, state)
        memory = translator.encode(batch["source"], batch["source_length"])
        found, scores = translator.drawn(memory, 3, 4, 1.0, jax.random.key(5))
        again, beam_scores = translator.best(memory, 1, 4, 0.0)
        return (
            found,
            scores,
            again[:, 0],
            beam_scores[:, 0],
            translator.greedy(memory, 4),
            [translator.logits(memory, tokens) for tokens in (found[:, 1], again[:, 0])],
        )

    found, scores, again, beam_scores, greedy, logits = jax.jit(run)(state)
    np.testing.assert_array_equal(again, greedy)
    for tokens, score, of_tokens in ((found[:, 1], scores[:, 1], logits[0]), (again, beam_scores, logits[1])):
        log_p = np.asarray(jax.nn.log_softmax(made(of_tokens)))
        for row, ids in enumerate(tokens.tolist()):
            end = ids.index(END) + 1 if END in ids else 4
            expected = sum(log_p[row, place, ids[place]] for place in range(end))
            np.testing.assert_allclose(score[row], expected, rtol=1e-4)


@every_model
def test_examples_are_shown_with_alignments(name: str) -> None:
    task, state = task_and_state(name)
    batch = batch_of()
    _, outputs, _ = jax.jit(task.evaluate)(state, batch, None)
    shown = task.displays(state, {}, jax.device_get(outputs), lambda index: {k: v[index] for k, v in batch.items()})
    assert shown["examples"].rows[0][0] == "a b c" and shown["examples"].rows[0][2] == "c b a"
    assert shown["by_length"].x.tolist() == [1, 2, 3, 4]
    assert ("alignment_0" in shown) == (name != "none")
