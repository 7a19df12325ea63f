"""Annealed importance sampling against sums over every state."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from dlvr_jax.metrics.annealed_importance import log_partition, log_weights, rbm_log_partition


def exact_log_partition(weights: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray) -> float:
    """Over all states of the visible units, with the hidden ones summed out."""
    v = np.array(list(itertools.product([0.0, 1.0], repeat=len(visible_bias))))
    return float(logsumexp(v @ visible_bias + np.logaddexp(0, v @ weights + hidden_bias).sum(1)))


def small_rbm(seed: int, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(seed)
    return scale * numbers.normal(size=(8, 6)), numbers.normal(size=8), numbers.normal(size=6)


@pytest.mark.parametrize(("seed", "scale"), [(0, 0.3), (1, 1.0), (2, 2.0)])
def test_it_equals_the_exact_partition_function(seed: int, scale: float) -> None:
    params = small_rbm(seed, scale)
    found = rbm_log_partition(*(jnp.asarray(part, jnp.float32) for part in params), seed=7, chains=500)
    assert 0 < found.error < 0.1 and found.effective_chains > 100
    assert abs(found.value - exact_log_partition(*params)) < 4 * found.error + 1e-3  # four standard errors; f32 sums


def test_without_weights_it_is_exact_whatever_the_chains_do() -> None:
    _, visible_bias, hidden_bias = small_rbm(3, 1.0)
    hidden_bias = np.zeros_like(hidden_bias)
    weights = np.zeros((8, 6))
    found = rbm_log_partition(
        *(jnp.asarray(part, jnp.float32) for part in (weights, visible_bias, hidden_bias)), seed=0, chains=5
    )
    np.testing.assert_allclose(found.value, exact_log_partition(weights, visible_bias, hidden_bias), rtol=1e-6)
    assert found.error < 1e-5 and found.effective_chains > 4.999


def test_any_density_and_transition_will_do() -> None:
    """From N(0, 1) to 3 exp(-(x - 2)^2 / (2 0.5^2)), along geometric means, whose conditionals are Gaussians."""

    def log_density(x, beta):
        return -(1 - beta) * x**2 / 2 + beta * (jnp.log(3.0) - 2 * (x - 2) ** 2)

    def transition(key, x, beta):
        precision = (1 - beta) + 4 * beta
        return 8 * beta / precision + jax.random.normal(key, x.shape) / jnp.sqrt(precision)

    start = jax.random.normal(jax.random.key(0), (400,))
    weights = log_weights(log_density, transition, start, jnp.linspace(0, 1, 200), jax.random.key(1))
    found = log_partition(np.asarray(weights), 0.5 * np.log(2 * np.pi))
    exact = np.log(3 * np.sqrt(2 * np.pi) * 0.5)
    assert abs(found.value - exact) < 4 * found.error and found.error < 0.05


def test_error_and_effective_chains_are_those_of_the_weights() -> None:
    equal = log_partition(np.full(8, 1000.0), 1.0)  # no overflow
    assert (equal.value, equal.error, round(equal.effective_chains, 9)) == (1001.0, 0.0, 8.0)
    one = log_partition(np.array([0.0, -800.0, -800.0, -800.0]), 0.0)
    np.testing.assert_allclose([one.value, one.error, one.effective_chains], [-np.log(4), 1.0, 1.0])
