"""Dropout: its statistics, its ends, its gradient, its dtype, and rates that are traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.layers.dropout import dropout

SIZE = 20_000
compiled = jax.jit(dropout)


@settings(deadline=None, max_examples=20)
@given(rate=st.floats(0, 0.95), seed=st.integers(0, 2**31 - 1))
def test_it_drops_its_share_and_keeps_the_mean(rate: float, seed: int) -> None:
    x = jnp.full(SIZE, 3.0)
    y = np.asarray(compiled(x, rate, jax.random.key(seed)))
    # Bernstein's bound on the share of 20,000 coins: with six deviations and 12 coins more it fails once in 30 million.
    spread = 6 * np.sqrt(rate * (1 - rate) / SIZE) + 12 / SIZE
    assert abs((y == 0).mean() - rate) <= spread
    assert abs(y.mean() - 3) <= 3 * spread / (1 - rate) + 1e-5
    kept = np.round((1 - np.float32(rate)) * 2**16) / 2**16
    np.testing.assert_allclose(y[y != 0], 3 / kept, rtol=1e-6)  # one f32 division and product


@pytest.mark.parametrize("shape", [(SIZE,), (SIZE // 5, 5), (2, 5, SIZE // 10)])
def test_an_element_does_not_tell_of_its_neighbour(shape: tuple[int, ...]) -> None:
    dropped = np.asarray(compiled(jnp.ones(shape), 0.3, jax.random.key(1))) == 0
    for distance in (1, 2):
        both = (dropped[..., distance:] & dropped[..., :-distance]).mean()
        assert abs(both - 0.3**2) <= 6 * np.sqrt(0.09 * 0.91 / (SIZE / 2)) + 12 / SIZE  # as above, of half the pairs


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_rate_0_is_the_identity_and_rate_1_is_zero_with_finite_gradients(dtype) -> None:
    x = jnp.linspace(-2, 2, 50, dtype=dtype)
    y, slope = jax.value_and_grad(lambda x: dropout(x, 0.0, jax.random.key(0)).sum())(x)
    np.testing.assert_array_equal(dropout(x, 0.0, jax.random.key(0)), x)
    np.testing.assert_array_equal(slope, jnp.ones_like(x))
    np.testing.assert_array_equal(dropout(x, 1.0, jax.random.key(0)), jnp.zeros_like(x))
    np.testing.assert_array_equal(jax.grad(lambda x: dropout(x, 1.0, jax.random.key(0)).sum())(x), jnp.zeros_like(x))
    assert y.dtype == dtype and dropout(x, 0.3, jax.random.key(0)).dtype == dtype


def test_the_gradient_is_the_mask() -> None:
    x = jnp.linspace(1, 2, 100)
    key = jax.random.key(5)
    slope = jax.grad(lambda x: dropout(x, 0.4, key).sum())(x)
    np.testing.assert_allclose(slope, dropout(x, 0.4, key) / x, rtol=1e-6)  # one f32 division


def test_rates_may_be_traced_and_vary_under_vmap() -> None:
    x, rates, keys = jnp.ones((3, SIZE)), jnp.array([0.0, 0.25, 0.75]), jax.random.split(jax.random.key(0), 3)
    together = jax.jit(jax.vmap(dropout))(x, rates, keys)
    for i in range(3):
        np.testing.assert_array_equal(together[i], compiled(x[i], rates[i], keys[i]))
