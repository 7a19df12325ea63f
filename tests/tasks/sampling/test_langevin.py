"""Langevin dynamics against the stationary law of its own steps, which is known for a Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.tasks.sampling.langevin import Box, Dynamics, langevin, langevin_path

MEAN, VARIANCE = jnp.array([1.0, -2.0]), jnp.array([0.5, 2.0])


def gaussian(x):
    return ((x - MEAN) ** 2 / (2 * VARIANCE)).sum(-1)


def test_chains_come_to_a_known_gaussian() -> None:
    """x <- x - e (x - m) / s^2 + sqrt(2 e) N has the variance s^2 / (1 - e / (2 s^2)): more than s^2, by the step."""
    step = 0.1
    start = jnp.zeros((4_000, 2))
    x = jax.jit(lambda: langevin(gaussian, start, jax.random.key(0), 200, Dynamics(step, (2 * step) ** 0.5)))()
    expected = VARIANCE / (1 - step / (2 * VARIANCE))
    # 4,000 independent chains: standard errors of mean and variance, four of them.
    np.testing.assert_allclose(x.mean(0), MEAN, atol=4 * float(jnp.sqrt(expected.max() / 4000)))
    np.testing.assert_allclose(x.var(0), expected, rtol=4 * (2 / 4000) ** 0.5)


@settings(deadline=None, max_examples=10)
@given(chains=st.integers(1, 6), seed=st.integers(0, 2**31 - 1))
def test_a_chains_slope_does_not_depend_on_how_many_there_are(chains: int, seed: int) -> None:
    start = jax.random.normal(jax.random.key(seed), (6, 2))
    all_of_them = langevin(gaussian, start, jax.random.key(1), 3, Dynamics(0.1, 0.0))
    some = langevin(gaussian, start[:chains], jax.random.key(1), 3, Dynamics(0.1, 0.0))
    np.testing.assert_allclose(some, all_of_them[:chains], rtol=1e-6, atol=1e-6)  # f32, vectorised otherwise


def test_it_goes_downhill_by_a_bounded_slope_and_stays_in_its_box() -> None:
    start = jnp.array([[5.0, -2.0]])
    after = langevin(gaussian, start, jax.random.key(0), 1, Dynamics(0.1, 0.0))
    np.testing.assert_allclose(after, [[5.0 - 0.1 * 4 / 0.5, -2.0]], rtol=1e-6)
    clipped = langevin(gaussian, start, jax.random.key(0), 1, Dynamics(0.1, 0.0, 0.5))
    np.testing.assert_allclose(clipped, [[4.95, -2.0]], rtol=1e-6)
    boxed = langevin(gaussian, start, jax.random.key(0), 50, Dynamics(0.1, 1.0), Box(-0.5, 0.5))
    assert np.abs(boxed).max() <= 0.5


def test_no_gradient_flows_back_through_the_chains() -> None:
    def moved(scale):
        return langevin(lambda x: scale * gaussian(x), scale * MEAN[None], jax.random.key(0), 2, Dynamics(0.1, 0.1))

    assert jax.grad(lambda scale: moved(scale).sum())(2.0) == 0


@pytest.mark.parametrize(("steps", "frames"), [(10, 3), (11, 3), (5, 2)])
def test_a_path_begins_at_the_start_and_has_its_frames(steps: int, frames: int) -> None:
    start = jnp.ones((2, 2))
    path = langevin_path(gaussian, start, jax.random.key(0), steps, frames, Dynamics(0.1, 0.0))
    assert path.shape == (frames, 2, 2)
    np.testing.assert_array_equal(path[0], start)
    taken = {10: 10, 11: 12, 5: 5}[steps]  # two times six, so that the frames are even
    last = langevin(gaussian, start, jax.random.key(9), taken, Dynamics(0.1, 0.0))
    np.testing.assert_allclose(path[-1], last, rtol=1e-6)


def test_a_box_is_filled_evenly() -> None:
    x = Box(-2.0, 1.0).uniform(jax.random.key(0), (5_000, 3))
    assert x.min() >= -2 and x.max() < 1
    np.testing.assert_allclose(x.mean(0), -0.5, atol=4 * 3 / (12 * 5_000) ** 0.5)
