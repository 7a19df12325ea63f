"""The forward process: step by step and at once, and its way back when the image is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.layers.noise_schedules import betas_of
from dlvr_jax.tasks.sampling.diffusion_process import Process

SCHEDULES = pytest.mark.parametrize("process", [Process("linear", 1000), Process("cosine", 100)])
X0 = jax.random.uniform(jax.random.key(0), (5, 4, 4, 1), minval=-1)
EPS = jax.random.normal(jax.random.key(1), X0.shape)


@SCHEDULES
def test_noise_step_by_step_is_noise_at_once(process: Process) -> None:
    """x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) z: mean and variance of x_t by recursion."""
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(betas_of(process.schedule, process.steps), start=1):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        np.testing.assert_allclose(mean**2, process.alpha_bars[t], rtol=1e-10)  # products of up to 1000 in float64
        np.testing.assert_allclose(variance, 1 - process.alpha_bars[t], rtol=1e-10)


def test_drawn_step_by_step_it_has_the_mean_and_variance_of_the_closed_form() -> None:
    process, count = Process("cosine", 20), 20_000
    betas, x = betas_of("cosine", 20), np.full(count, 0.7)
    draws = np.random.default_rng(0)
    for t in range(1, 16):
        x = np.sqrt(1 - betas[t - 1]) * x + np.sqrt(betas[t - 1]) * draws.standard_normal(count)
    times, eps = jnp.full(count, 15), jnp.asarray(draws.standard_normal((count, 1, 1, 1)), jnp.float32)
    at_once = np.asarray(process.noised(jnp.full((count, 1, 1, 1), 0.7), eps, times))
    kept = process.alpha_bars[15]
    for found in (x, at_once):  # five standard errors of 20,000 draws
        np.testing.assert_allclose(found.mean(), np.sqrt(kept) * 0.7, atol=5 * np.sqrt((1 - kept) / count))
        np.testing.assert_allclose(found.var(), 1 - kept, rtol=5 * np.sqrt(2 / count))


def test_time_zero_is_the_image() -> None:
    np.testing.assert_array_equal(Process("linear", 1000).noised(X0, EPS, jnp.zeros(5, int)), X0)


@given(time=st.integers(1, 100), kind=st.sampled_from(["eps", "x0", "v"]))
@settings(deadline=None, max_examples=30)
def test_what_is_said_gives_image_and_noise_back(time: int, kind) -> None:
    process, times = Process("cosine", 100), jnp.full(5, time)
    x = process.noised(X0, EPS, times)
    image = process.image(kind, process.target(kind, X0, EPS, times), x, times)
    # eps says little of the image where a_t is small: rounding of order 1e-7 is divided by it.
    rounding = 1e-6 / np.sqrt(process.alpha_bars[time])
    np.testing.assert_allclose(image, X0, atol=rounding)
    np.testing.assert_allclose(process.eps(X0, x, times), EPS, atol=1e-5 / np.sqrt(1 - process.alpha_bars[time]))


@SCHEDULES
def test_the_posterior_is_that_of_bayes(process: Process) -> None:
    """q(x_s | x_t, x_0) out of the Gaussians q(x_s | x_0) and q(x_t | x_s): precisions add."""
    now = np.arange(2, process.steps + 1)
    for before in (now - 1, now // 2):
        found = process.posterior(now, before)
        kept, later = process.alpha_bars[before], process.alpha_bars[now]
        alpha = later / kept
        precision = 1 / (1 - kept) + alpha / (1 - alpha)
        np.testing.assert_allclose(found.variance, 1 / precision, rtol=1e-8)
        np.testing.assert_allclose(found.of_image, np.sqrt(kept) / (1 - kept) / precision, rtol=1e-8)
        np.testing.assert_allclose(found.of_noisy, np.sqrt(alpha) / (1 - alpha) / precision, rtol=1e-8)


def test_the_last_step_back_is_the_image() -> None:
    last = Process("linear", 1000).posterior(np.array([1, 20]), np.array([0, 0]))
    np.testing.assert_allclose(last.of_image, 1, rtol=1e-12)
    np.testing.assert_array_equal(last.of_noisy, 0)
    np.testing.assert_array_equal(last.variance, 0)
