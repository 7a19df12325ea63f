from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.models.attention.encoder_decoder import EncoderDecoder
from tests.initialised import initialised

FORMS = [*((form, "lstm") for form in ("none", "bahdanau", "luong_dot", "luong_general")), ("bahdanau", "gru")]
every_form = pytest.mark.parametrize(("attention", "cell"), FORMS, ids=["-".join(form) for form in FORMS])
SOURCE, TARGET, BATCH = 7, 6, 3
LENGTHS = np.array([7, 3, 1])


def model(attention: str, cell: str = "lstm", **fields) -> EncoderDecoder:
    return EncoderDecoder(
        vocab_size=11, target_vocab_size=9, attention=attention, cell=cell, width=8, embedding=5, **fields
    )


def example(seed: int = 0):
    random = np.random.default_rng(seed)
    return random.integers(4, 11, (BATCH, SOURCE)), random.integers(1, 9, (BATCH, TARGET))


@lru_cache
def call(network: EncoderDecoder, method: str | None = None, **options):
    """A method, compiled, with its options fixed."""
    return jax.jit(partial(network.apply, method=method, **options))


@lru_cache
def params_of(network: EncoderDecoder):
    source, target = example()
    params = jax.device_get(initialised(network, source, LENGTHS, target, seed=1))
    return jax.tree.map(lambda leaf: 2 * leaf, params)  # away from small: attention that differs from the mean


@every_form
def test_rows_of_attention_sum_to_one_over_real_positions(attention: str, cell: str) -> None:
    network = model(attention, cell)
    source, target = example()
    logits, weights = jax.device_get(call(network, train=False)(params_of(network), source, LENGTHS, target))
    assert logits.shape == (BATCH, TARGET, 9) and logits.dtype == jnp.float32
    if attention == "none":
        assert weights is None
        return
    assert weights.shape == (BATCH, TARGET, SOURCE)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)  # rounding of 7 terms
    for row, length in enumerate(LENGTHS):
        assert (weights[row, :, length:] == 0).all()
        assert (weights[row, :, :length] > 0).all()
    assert weights[0].max() < 1 and weights[0].std() > 1e-4  # spread over more than one position, unevenly


@every_form
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), extra=st.integers(0, 2))
def test_padding_changes_nothing(attention: str, cell: str, seed: int, extra: int) -> None:
    network = model(attention, cell)
    params = params_of(network)
    source, target = example()
    other = np.where(np.arange(SOURCE) < LENGTHS[:, None], source, example(seed)[0])
    other = np.pad(other, ((0, 0), (0, extra)), constant_values=5)
    one, _ = call(network, train=False)(params, source, LENGTHS, target)
    two, _ = call(network, train=False)(params, other, LENGTHS, target)
    np.testing.assert_allclose(one, two, atol=1e-5)  # sums over other lengths are grouped otherwise
    if not extra:
        np.testing.assert_array_equal(one, two)


@every_form
@settings(max_examples=5, deadline=None)
@given(cut=st.integers(1, TARGET - 1), seed=st.integers(0, 2**31 - 1))
def test_later_target_tokens_do_not_reach_earlier_logits(attention: str, cell: str, cut: int, seed: int) -> None:
    network = model(attention, cell)
    params = params_of(network)
    source, target = example()
    other = np.concatenate([target[:, :cut], example(seed)[1][:, cut:]], 1)
    one, _ = jax.device_get(call(network, train=False)(params, source, LENGTHS, target))
    two, _ = jax.device_get(call(network, train=False)(params, source, LENGTHS, other))
    np.testing.assert_array_equal(one[:, :cut], two[:, :cut])


@every_form
def test_step_by_step_equals_teacher_forcing(attention: str, cell: str) -> None:
    network = model(attention, cell)
    params = params_of(network)
    source, target = example()
    logits, weights = jax.device_get(call(network, train=False)(params, source, LENGTHS, target))
    memory = call(network, "encode", train=False)(params, source, LENGTHS)
    cache = call(network, "first_cache", length=TARGET)(params, memory)
    for place in range(TARGET):
        one, attended, cache = call(network, "step", train=False)(params, target[:, place], cache, memory)
        np.testing.assert_allclose(one, logits[:, place], rtol=1e-5, atol=1e-5)  # the same sums in another program
        if attended is not None:
            np.testing.assert_allclose(attended, weights[:, place], rtol=1e-5, atol=1e-5)


@every_form
def test_without_attention_only_the_last_state_is_used(attention: str, cell: str) -> None:
    network = model(attention, cell)
    params = params_of(network)
    source, target = example()
    memory = call(network, "encode", train=False)(params, source, LENGTHS)
    emptied = memory._replace(states=0 * memory.states)
    one, _ = call(network, "decode", train=False)(params, target, memory)
    two, _ = call(network, "decode", train=False)(params, target, emptied)
    assert (one == two).all() == (attention == "none")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_decoder_begins_where_the_encoder_ended(cell: str) -> None:
    network = model("none", cell, bidirectional=False)
    source, _ = example()
    memory = jax.device_get(call(network, "encode", train=False)(params_of(network), source, LENGTHS))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(memory.carry[0][row], memory.states[row, length - 1])


@every_form
def test_parameters_are_counted_by_formula(attention: str, cell: str) -> None:
    width, embedding, source_words, words = 8, 5, 11, 9
    gates = {"lstm": 4, "gru": 3}[cell]

    def recurrence(inputs: int, units: int) -> int:
        biases = {"lstm": 4, "gru": 4}[cell]  # the GRU's candidate has two: Chung et al. 2014 in the form of cuDNN
        return gates * units * (inputs + units) + biases * units

    context = 0 if attention == "none" else width
    expected = (source_words + words) * embedding + 2 * recurrence(embedding, width // 2)
    expected += recurrence(embedding + context, width) + (width + 1) * words
    expected += {
        "none": 0,
        "bahdanau": 2 * width * width + 2 * width + (2 * width + embedding + 1) * width,
        "luong_dot": (2 * width + 1) * width,
        "luong_general": (3 * width + 1) * width,
    }[attention]
    assert sum(leaf.size for leaf in jax.tree.leaves(params_of(model(attention, cell)))) == expected


def test_dropout_acts_in_training_only() -> None:
    network = model("bahdanau")
    source, target = example()
    params, streams = params_of(network), {"dropout": jax.random.key(0)}
    plain, _ = call(network, train=False)(params, source, LENGTHS, target)
    for train, rate, same in ((False, 0.5, True), (True, 0.0, True), (True, None, True), (True, 0.5, False)):
        logits, _ = call(network, train=train, dropout=rate)(params, source, LENGTHS, target, rngs=streams)
        assert (logits == plain).all() == same
