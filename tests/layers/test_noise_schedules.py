"""Noise schedules: ends, published numbers, and none that takes away more than there is."""

import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.layers.noise_schedules import betas_of, cosine, linear, sigmoid


def quarter(steps: int) -> np.ndarray:
    return np.full(steps, 0.25)


def printed_cosine(steps: int) -> np.ndarray:
    """Betas that follow a cosine themselves: some are negative."""
    return 0.01 * np.cos(np.linspace(0, np.pi, steps))


def test_linear_has_the_ends_of_the_paper_and_leaves_almost_nothing() -> None:
    betas = linear(1000)
    assert (betas[0], betas[-1]) == (1e-4, 0.02)
    assert round(np.prod(1 - betas) * 1e5, 2) == 4.04


@pytest.mark.parametrize("steps", [100, 250, 4000])
def test_linear_takes_about_as_much_in_any_number_of_steps(steps: int) -> None:
    kept = np.log(np.prod(1 - linear(steps)))
    np.testing.assert_allclose(kept, np.log(4.04e-5), rtol=0.15)  # larger steps take more than their first order


@pytest.mark.parametrize("steps", [2, 10, 50, 1000, 4000])
@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid"])
def test_every_beta_is_above_zero_and_below_one(name: str, steps: int) -> None:
    betas = betas_of(name, steps)
    kept = np.cumprod(1 - betas)
    assert betas.shape == (steps,) and (betas > 0).all() and (betas < 1).all()
    assert (np.diff(kept) < 0).all() and (kept > 0).all() and np.isfinite(np.sqrt(1 - kept)).all()


def test_sigmoid_leaves_half_in_the_middle_and_is_symmetric() -> None:
    kept = np.cumprod(1 - sigmoid(100))
    np.testing.assert_allclose(kept[49], 0.5, rtol=1e-12)
    np.testing.assert_allclose(kept[:49] + kept[-2:49:-1], 1, rtol=1e-12)


def test_cosine_follows_its_formula_up_to_the_largest_beta() -> None:
    kept, t = np.cumprod(1 - cosine(1000)), np.arange(1, 1001) / 1000
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(kept[:-1], f[:-1], rtol=1e-9)  # a product of 999 factors in float64
    assert cosine(1000)[-1] == 0.999 and cosine(1000)[:-1].max() < 0.999


def test_a_schedule_of_ones_own_is_found_by_its_path() -> None:
    np.testing.assert_array_equal(betas_of("tests.layers.test_noise_schedules.quarter", 3), [0.25] * 3)


def test_a_schedule_with_negative_betas_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        betas_of("tests.layers.test_noise_schedules.printed_cosine", 10)


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match='did you mean "cosine"'):
        betas_of("cosin", 10)
