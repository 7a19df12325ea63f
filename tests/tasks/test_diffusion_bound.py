"""The bound: its terms against definitions, and what it is for data whose best denoiser is known."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dlvr_jax.tasks.diffusion_bound import HALF_STEP, evenly_spread, last_term, prior_term, step_term
from dlvr_jax.tasks.sampling.diffusion_process import Process

PROCESSES = pytest.mark.parametrize("process", [Process("linear", 1000), Process("cosine", 50)])
LEVELS = jnp.arange(256, dtype=jnp.float32)[:, None, None, None] / 127.5 - 1  # every value of a pixel


def kl(mean1: float, variance1: float, mean2: float, variance2: float) -> float:
    """Of two Gaussians."""
    return 0.5 * (np.log(variance2 / variance1) + (variance1 + (mean1 - mean2) ** 2) / variance2 - 1)


@PROCESSES
def test_the_prior_term_is_a_divergence(process: Process) -> None:
    kept = process.alpha_bars[-1]
    expected = [kl(np.sqrt(kept) * x, 1 - kept, 0, 1) for x in np.asarray(LEVELS, np.float64).ravel()]
    found = prior_term(process, LEVELS)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-9)  # of order alpha-bar, 4e-5, out of ones
    assert (np.asarray(found) >= 0).all()


@PROCESSES
@given(seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=20)
def test_step_terms_are_divergences_and_never_below_zero(process: Process, seed: int) -> None:
    draws = np.random.default_rng(seed)
    x0, guess = (jnp.asarray(draws.uniform(-1, 1, (4, 1, 1, 1)), jnp.float32) for _ in range(2))
    times = draws.integers(2, process.steps + 1, 4).astype(np.int32)
    found = step_term(process, x0, guess, jnp.asarray(times))
    assert (np.asarray(found) >= 0).all()
    x = draws.normal(size=4)
    posterior = process.posterior(times, times - 1)
    means = [posterior.of_image * np.asarray(image).ravel() + posterior.of_noisy * x for image in (x0, guess)]
    expected = kl(means[0], posterior.variance, means[1], posterior.variance)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-15)  # expected is what is left of ones in float64


def test_a_right_guess_costs_nothing() -> None:
    process = Process("linear", 1000)
    np.testing.assert_array_equal(step_term(process, LEVELS, LEVELS, jnp.full(256, 2)), 0)


@PROCESSES
@pytest.mark.parametrize("guess", [-1.0, -0.3, 0.017, 1.0])
def test_the_last_term_is_a_distribution_over_the_values_of_a_pixel(process: Process, guess: float) -> None:
    nats = np.asarray(last_term(process, LEVELS, jnp.full_like(LEVELS, guess)), np.float64)
    probabilities = np.where(nats < 27, np.exp(-nats), 0)  # 27.6 stands for all that is rarer
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)
    deviation, x = np.sqrt(1 - process.alpha_bars[1]), np.asarray(LEVELS, np.float64).ravel()
    high = np.where(x > 1 - HALF_STEP, np.inf, x + HALF_STEP)
    low = np.where(x < -1 + HALF_STEP, -np.inf, x - HALF_STEP)
    expected = norm.cdf(high, guess, deviation) - norm.cdf(low, guess, deviation)
    likely = expected > 1e-6
    # 8-bit values in [-1, 1] and 1 / deviation of 100: the argument of the tail is good to 1e-5.
    np.testing.assert_allclose(probabilities[likely], expected[likely], rtol=1e-3)


def test_of_gaussian_data_the_steps_of_the_best_denoiser_cost_what_they_must() -> None:
    """The guess misses by the variance of x_0 given x_t, a product of two Gaussians; times are drawn evenly."""
    process, variance, count = Process("linear", 1000), 0.09, 100_000
    draws = np.random.default_rng(0)
    x0, eps = (jnp.asarray(draws.standard_normal((count, 1, 1, 1)), jnp.float32) for _ in range(2))
    x0, times = jnp.sqrt(variance) * x0, 2 + evenly_spread(jnp.arange(count), 999)
    a, s = (part[:, None, None, None] for part in (process.signal(times), process.noise(times)))
    guess = a * variance / (a**2 * variance + s**2) * process.noised(x0, eps, times)
    found = 999 * step_term(process, x0, guess, times).mean()
    now = np.arange(2, 1001)
    posterior, kept = process.posterior(now, now - 1), process.alpha_bars[now]
    missed = variance * (1 - kept) / (kept * variance + 1 - kept)
    expected = (posterior.of_image**2 / (2 * posterior.variance) * missed).sum()
    np.testing.assert_allclose(found, expected, rtol=0.03)  # the mean of 100,000 squares of normals, unevenly weighted


@given(first=st.integers(0, 50_000), count=st.sampled_from([1, 7, 999]))
@settings(deadline=None, max_examples=20)
def test_every_time_comes_up_about_as_often(first: int, count: int) -> None:
    found = np.bincount(evenly_spread(jnp.arange(first, first + 10 * count), count), minlength=count)
    assert len(found) == count and found.min() >= 7 and found.max() <= 13
