"""Simple forecasts by hand, and the Diebold-Mariano test against closed forms and by simulation."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dlvr_jax.metrics.forecasting import (
    diebold_mariano,
    finish_forecasting,
    forecasting_sums,
    long_run_variance,
    naive_error,
    references,
    skills,
)


def test_simple_forecasts_by_hand() -> None:
    history = jnp.array([[[1.0, 9], [2, 9], [3, 9], [4, 9], [7, 9]]])
    found = references(history, 5, mean=2.5, period=3)
    assert {name: one[0].tolist() for name, one in found.items()} == {
        "persistence": [7, 7, 7, 7, 7],
        "mean": [2.5] * 5,
        "zero": [0] * 5,
        "seasonal": [3, 4, 7, 3, 4],
    }
    assert "seasonal" not in references(history, 5, mean=2.5, period=None)
    assert "seasonal" not in references(history, 5, mean=2.5, period=6)


def test_a_season_that_repeats_is_forecast_without_error() -> None:
    series = jnp.tile(jnp.array([1.0, 5, 2, 8]), 6)
    for length in (4, 5, 6, 7, 11):
        seasonal = references(series[None, :length, None], 9, mean=0.0, period=4)["seasonal"]
        np.testing.assert_array_equal(seasonal[0], series[length : length + 9])


def test_the_scale_of_mase_by_hand() -> None:
    history = jnp.array([[[1.0], [2], [4], [8]]])
    assert naive_error(history, None).tolist() == [pytest.approx((1 + 2 + 4) / 3)]
    assert naive_error(history, 2).tolist() == [pytest.approx((3 + 6) / 2)]


def test_a_history_of_one_step_has_no_scale() -> None:
    batch = {"history": jnp.ones((3, 1, 1)), "future": jnp.zeros((3, 1)), "mask": jnp.ones(3, bool)}
    outputs = {"future": np.zeros((3, 1)), "forecast": np.ones((3, 1))}
    metrics = finish_forecasting(forecasting_sums({"model": jnp.ones((3, 1))}, batch, None), outputs)
    assert np.isnan(metrics["mase"]) and metrics["mae"] == 1


def test_metrics_by_hand_and_masked_rows_count_for_nothing() -> None:
    history = jnp.array([[[0.0], [1.0]], [[2.0], [4.0]], [[jnp.nan], [jnp.nan]]])
    future = jnp.array([[2.0, 3.0], [4.0, 4.0], [jnp.nan, jnp.nan]])
    batch = {"history": history, "future": future, "mask": jnp.array([True, True, False])}
    simple = references(history, 2, mean=1.0, period=None)
    forecast = jnp.array([[2.0, 1.0], [5.0, 4.0], [0.0, 0.0]])
    sums = forecasting_sums({"model": forecast, **simple}, batch, None)
    outputs = {"future": future[:2], "forecast": forecast[:2]}
    outputs |= {f"reference/{name}": one[:2] for name, one in simple.items()}
    metrics = finish_forecasting(sums, {name: np.asarray(one) for name, one in outputs.items()})
    assert metrics["mae"] == pytest.approx((0 + 2 + 1 + 0) / 4)
    assert metrics["rmse"] == pytest.approx(np.sqrt((0 + 4 + 1 + 0) / 4))
    assert (metrics["mae/1"], metrics["mae/2"], metrics["rmse/2"]) == pytest.approx((0.5, 1, np.sqrt(2)))
    assert metrics["mase"] == pytest.approx(0.75 / ((1 + 2) / 2))
    assert metrics["mae_persistence"] == pytest.approx((1 + 2 + 0 + 0) / 4)
    assert metrics["skill_persistence"] == pytest.approx(1 - (5 / 4) / (5 / 4))
    assert metrics["skill_zero"] == pytest.approx(1 - 5 / (4 + 9 + 16 + 16))


def test_no_model_is_as_good_as_a_forecast_without_error() -> None:
    """Of a season that repeats; a model without error is no better."""
    history, future = jnp.tile(jnp.array([1.0, 2, 3]), 2)[None, :, None], jnp.array([[1.0, 2, 3]])
    batch = {"history": history, "future": future, "mask": jnp.ones(1, bool)}
    simple = references(history, 3, mean=2.0, period=3)
    for error, skill, mase in ((0.1, -np.inf, np.inf), (0.0, 0.0, 1.0)):
        forecasts = {"model": future + error, **simple}
        outputs = {"future": future, "forecast": forecasts["model"]}
        outputs |= {f"reference/{name}": one for name, one in simple.items()}
        sums = forecasting_sums(forecasts, batch, 3)
        metrics = finish_forecasting(sums, {name: np.asarray(one) for name, one in outputs.items()})
        assert metrics["skill_seasonal"] == skill and metrics["mase"] == mase


def test_one_step_ahead_it_is_a_paired_t_test() -> None:
    """With no lags the statistic and its correction are those of Student's test for a mean of zero."""
    a, b = np.random.default_rng(0).standard_normal((2, 50)) ** 2
    statistic, p = diebold_mariano(a, b, 1)
    expected = stats.ttest_rel(a, b)
    np.testing.assert_allclose([statistic, p], [expected.statistic, expected.pvalue], rtol=1e-10)
    assert diebold_mariano(b, a, 1) == pytest.approx((-statistic, p))


def test_two_steps_ahead_by_hand() -> None:
    difference = np.array([1.0, 2.0, 4.0, 3.0])
    centred = difference - 2.5
    variance = (centred @ centred + 2 * centred[1:] @ centred[:-1]) / 4
    assert long_run_variance(difference, 1) == pytest.approx(variance)
    shrink = (4 + 1 - 4 + 2 * 1 / 4) / 4  # Harvey, Leybourne & Newbold 1997, equation 9
    expected = np.sqrt(shrink) * 2.5 / np.sqrt(variance / 4)
    statistic, p = diebold_mariano(difference, np.zeros(4), 2)
    np.testing.assert_allclose([statistic, p], [expected, 2 * stats.t.sf(expected, 3)], rtol=1e-12)


def test_a_sum_that_is_not_positive_gives_way_to_bartletts() -> None:
    series = np.array([1.0, -1.0] * 4)
    assert long_run_variance(series, 1) == pytest.approx(1 - 7 / 8)  # 1 - 2 * 7 / 8 is negative


def test_what_cannot_be_told_has_p_value_one() -> None:
    losses = np.arange(5.0)
    assert diebold_mariano(losses, losses, 1) == (0, 1)
    assert diebold_mariano(losses, losses + 1, 1) == (0, 1)  # no variance
    assert diebold_mariano(losses, losses[::-1], 5) == (0, 1)
    assert diebold_mariano(losses[:1], losses[:1] + 1, 1) == (0, 1)


@pytest.mark.parametrize("horizon", [1, 4])
def test_equal_forecasts_are_called_different_about_as_often_as_the_level_says(horizon: int) -> None:
    """Differences that are moving averages over `horizon` steps, as overlapping forecasts have. 1,000 simulations:
    a share of 0.05 has a standard deviation of 0.007; the test is known to be a little too eager (Harvey et al. 1997,
    table 1), so up to 0.09 is allowed.
    """
    noise = np.random.default_rng(1).standard_normal((1000, 200 + horizon - 1))
    moving = np.lib.stride_tricks.sliding_window_view(noise, horizon, 1).sum(-1)
    share = np.mean([diebold_mariano(one, np.zeros(200), horizon)[1] < 0.05 for one in moving])
    assert 0.03 < share < 0.09
    if horizon > 1:  # without the lags it would be called far too often
        assert np.mean([diebold_mariano(one, np.zeros(200), 1)[1] < 0.05 for one in moving]) > 0.2


def test_skill_has_a_row_for_each_step_ahead_and_one_for_all() -> None:
    future = np.random.default_rng(2).standard_normal((30, 3)).astype(np.float32)
    batch = {"history": jnp.zeros((30, 4, 1)), "future": jnp.asarray(future), "mask": jnp.ones(30, bool)}
    simple = references(batch["history"], 3, mean=0.0, period=None)
    sums = forecasting_sums({"model": batch["future"] / 2, **simple}, batch, None)
    outputs = {"future": future, "forecast": future / 2, "reference/zero": np.zeros_like(future)}
    found = skills(sums, outputs, "zero")
    assert list(found) == [1, 2, 3, "all"]
    for skill, statistic, p in found.values():
        assert skill == pytest.approx(0.75, abs=1e-6) and statistic < -2 and p < 0.05
