"""Temperature, top-k and the nucleus by what defines them."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.tasks.sampling.token_choice import drawn, tempered, top_k, top_p

seeds = st.integers(0, 2**31 - 1)


def logits_of(seed: int, rows: int = 3, size: int = 12) -> jax.Array:
    return jnp.array(3 * np.random.default_rng(seed).standard_normal((rows, size)), jnp.float32)


def entropy(logits) -> np.ndarray:
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    return -(p * np.log(np.maximum(p, 1e-300))).sum(-1)


@given(seed=seeds, low=st.floats(0.05, 5), factor=st.floats(1.1, 4))
@settings(deadline=None, max_examples=20)
def test_entropy_rises_with_the_temperature(seed: int, low: float, factor: float) -> None:
    assert (entropy(tempered(logits_of(seed), low * factor)) > entropy(tempered(logits_of(seed), low)) - 1e-6).all()


def test_without_heat_only_the_likeliest_is_left() -> None:
    logits = logits_of(0)
    np.testing.assert_array_equal(jax.nn.softmax(tempered(logits, 0.0)).argmax(-1), logits.argmax(-1))
    np.testing.assert_array_equal(drawn(logits, jax.random.key(0), 0.0), logits.argmax(-1))
    np.testing.assert_array_equal(tempered(logits, 1.0), logits)


@given(seed=seeds, k=st.integers(1, 15))
@settings(deadline=None, max_examples=20)
def test_top_k_keeps_the_k_likeliest(seed: int, k: int) -> None:
    logits = logits_of(seed)
    kept = np.isfinite(jax.jit(top_k, static_argnums=1)(logits, k))
    assert (kept.sum(-1) == min(k, logits.shape[1])).all()
    for row, mask in zip(np.asarray(logits), kept, strict=True):
        assert row[mask].min() >= row[~mask].max(initial=-np.inf)


def test_of_equal_tokens_top_k_keeps_the_first() -> None:
    np.testing.assert_array_equal(np.isfinite(top_k(jnp.zeros((1, 4)), 2)), [[True, True, False, False]])


@given(seed=seeds, p=st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_the_nucleus_is_the_smallest_with_its_probability(seed: int, p: float) -> None:
    logits = logits_of(seed)
    kept = np.isfinite(top_p(logits, p))
    for row, mask in zip(np.asarray(jax.nn.softmax(logits), np.float64), kept, strict=True):
        assert row[mask].min() >= row[~mask].max(initial=0)
        assert row[mask].sum() >= p - 1e-5  # sums of f32
        assert mask.sum() == 1 or row[mask].sum() - row[mask].min() < p + 1e-5


def test_drawing_follows_the_probabilities() -> None:
    logits = jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
    many = jnp.broadcast_to(logits, (20_000, 3))
    found = np.bincount(drawn(many, jax.random.key(1), 1.0), minlength=3) / 20_000
    np.testing.assert_allclose(found, [0.5, 0.3, 0.2], atol=0.015)  # over four standard deviations
    assert set(np.asarray(drawn(many, jax.random.key(1), 1.0, k=2))) == {0, 1}
    assert set(np.asarray(drawn(many, jax.random.key(1), 1.0, p=0.4))) == {0}
