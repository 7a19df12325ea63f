"""LSTM and GRU as language models: counts, causality, carries, tied logits, bfloat16."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.models.modern_rnn.gru import GRU
from dlvr_jax.models.modern_rnn.lstm import LSTM
from tests.initialised import initialised

VOCABULARY, LENGTH = 11, 9
every_model = pytest.mark.parametrize("model", [LSTM(VOCABULARY, 6, 8), GRU(VOCABULARY, 6, 8)])
F32 = dict(rtol=1e-5, atol=1e-6)  # numbers of order 1, sums in another order


def tokens_of(seed: int = 0, rows: int = 2) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(0, VOCABULARY, (rows, LENGTH)))


@cache
def variables_of(model):
    return initialised(model, tokens_of(), seed=1)


@partial(jax.jit, static_argnums=0)
def apply(model, variables, tokens: jax.Array, carry=None):
    return model.apply(variables, tokens, carry, train=False)


@every_model
def test_parameters_follow_the_formula(model) -> None:
    count = VOCABULARY * 6 + 9 * VOCABULARY
    for inputs in (6, 8):
        count += 4 * 8 * (inputs + 8 + 1) if isinstance(model, LSTM) else 8 * (3 * inputs + 3 * 8 + 4)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables_of(model))) == count


@every_model
def test_tied_logits_have_no_matrix_of_their_own(model) -> None:
    tied = model.clone(tied=True, embedding=8)
    variables = variables_of(tied)
    assert sorted(variables["params"]) == ["bias", "stack", "token"]
    assert variables["params"]["bias"].shape == (VOCABULARY,)
    with pytest.raises(ValueError, match="tied logits need embedding = features; they are 6 and 8"):
        variables_of(model.clone(tied=True))


@every_model
@given(cut=st.integers(1, LENGTH - 1), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=10)
def test_the_past_does_not_see_the_future(model, cut: int, seed: int) -> None:
    one = np.asarray(tokens_of(seed))
    other = np.where(np.arange(LENGTH) < cut, one, (one + 1) % VOCABULARY)
    a, b = (np.asarray(apply(model, variables_of(model), tokens)[0]) for tokens in (one, other))
    np.testing.assert_array_equal(a[:, :cut], b[:, :cut])
    assert (a[:, cut] != b[:, cut]).any()


@every_model
def test_windows_with_a_carry_are_one_long_window(model) -> None:
    variables, tokens = variables_of(model), tokens_of()
    whole, last = apply(model, variables, tokens)
    first, carry = apply(model, variables, tokens[:, :4], model.initial_carry(2))
    second, carry = apply(model, variables, tokens[:, 4:], carry)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, **F32)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), carry, last)
    assert jax.tree.map(jnp.shape, carry) == jax.tree.map(jnp.shape, model.initial_cache(2, 100))


@every_model
def test_dropout_and_bfloat16(model) -> None:
    variables, tokens = variables_of(model), tokens_of()
    plain, _ = jax.jit(partial(model.apply, train=False, dropout=0.5))(variables, tokens)
    rngs = {"dropout": jax.random.key(0)}
    dropped, _ = jax.jit(partial(model.apply, train=True, dropout=0.5))(variables, tokens, rngs=rngs)
    assert not np.allclose(plain, dropped, atol=1e-2)
    rough, carry = apply(model.clone(dtype=jnp.bfloat16), variables, tokens)
    assert rough.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(rough, plain, atol=0.1)  # 8 bits of mantissa, through two layers


@every_model
@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_not_rounded_to_bfloat16(model, tied: bool) -> None:
    model = model.clone(dtype=jnp.bfloat16, tied=tied, embedding=8)
    logits = np.asarray(apply(model, variables_of(model), tokens_of())[0])
    assert (logits != logits.astype(jnp.bfloat16).astype(np.float32)).any()
