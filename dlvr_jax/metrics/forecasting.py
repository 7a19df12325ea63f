"""What a forecast is worth: simple forecasts to compare with, and whether a difference may be chance."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def references(
    history: Float[Array, "batch length channels"], horizon: int, mean: float, period: int | None
) -> dict[str, Float[Array, "batch horizon"]]:
    """Forecasts of channel 0 that need no learning.

    persistence: the last value. mean: that of the train span. zero: for differences and returns, "as before".
    seasonal: the value one period before, or as many periods as it takes (only where there is a period, and the history
    is as long).
    """
    series, shape = history[..., 0], (len(history), horizon)
    simple = {
        "persistence": jnp.broadcast_to(series[:, -1:], shape),
        "mean": jnp.full(shape, mean),
        "zero": jnp.zeros(shape),
    }
    if has_season(history.shape[1], period):
        assert period is not None
        simple["seasonal"] = series[:, history.shape[1] - period + jnp.arange(horizon) % period]
    return simple


def has_season(length: int, period: int | None) -> bool:
    """Whether a history shows a whole period."""
    return period is not None and length >= period


def naive_error(history: Float[Array, "batch length channels"], period: int | None) -> Float[Array, " batch"]:
    """Mean absolute change of channel 0 over a period within each history (a step where no period fits in): the scale
    of MASE, Hyndman & Koehler 2006, doi 10.1016/j.ijforecast.2006.03.001.

    As in the M4 competition the scale is that of what the forecaster sees, not of the whole train span. A history of
    one step shows no change: NaN, and so is MASE.
    """
    lag = period if period is not None and history.shape[1] > period else 1
    series = history[..., 0]
    return jnp.abs(series[:, lag:] - series[:, :-lag]).mean(1)


def diebold_mariano(
    losses: Float[np.ndarray, " times"], others: Float[np.ndarray, " times"], horizon: int
) -> tuple[float, float]:
    """The statistic and the two-sided p-value of equal expected losses; negative where the first ones are lower.

    Diebold & Mariano 1995, doi 10.1080/07350015.1995.10524599, with the correction for small samples and Student's
    distribution of Harvey, Leybourne & Newbold 1997, doi 10.1016/S0169-2070(96)00719-4. Losses are in the order of
    time; forecasts of `horizon` steps ahead have errors that correlate over horizon - 1 steps. Where the sum of
    autocovariances is not positive, that with Bartlett's weights is taken (Newey & West 1987). What cannot be
    told (equal forecasts, fewer times than steps) has statistic 0 and p-value 1.
    """
    from scipy.stats import t

    difference = np.asarray(losses, np.float64) - np.asarray(others, np.float64)
    count = len(difference)
    shrink = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    variance = long_run_variance(difference, horizon - 1) / count
    if count <= horizon or shrink <= 0 or variance <= 0:
        return 0.0, 1.0
    statistic = float(np.sqrt(shrink) * difference.mean() / np.sqrt(variance))
    return statistic, float(2 * t.sf(abs(statistic), count - 1))


def long_run_variance(series: Float[np.ndarray, " times"], lags: int) -> float:
    """The sum of the autocovariances from -lags to lags; with Bartlett's weights where it is not positive."""
    centred = series - series.mean()
    count = len(centred)
    lags = min(lags, count - 1)
    covariances = np.array([centred[lag:] @ centred[: count - lag] / count for lag in range(lags + 1)])
    plain = covariances[0] + 2 * covariances[1:].sum()
    weights = 1 - np.arange(lags + 1) / (lags + 1)
    return float(plain if plain > 0 else covariances[0] + 2 * (weights * covariances)[1:].sum())


def forecasting_sums(
    forecasts: Mapping[str, Float[Array, "batch horizon"]], batch: Mapping[str, Any], period: int | None
) -> dict[str, tuple[Array, Array]]:
    """The sums of one batch: "absolute/NAME" and "squared/NAME" errors by horizon, of each forecast; "naive"."""
    mask = batch["mask"][:, None]
    count = mask.sum(dtype=jnp.float32)
    sums = {"naive": (jnp.where(mask[:, 0], naive_error(batch["history"], period), 0).sum(), count)}
    for name, forecast in forecasts.items():
        errors = jnp.where(mask, forecast - batch["future"], 0)
        sums |= {f"absolute/{name}": (jnp.abs(errors).sum(0), count), f"squared/{name}": ((errors**2).sum(0), count)}
    return sums


def finish_forecasting(sums: Mapping[str, tuple[Any, Any]], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """mae, rmse and mase over all horizons, and mae and rmse by horizon (`mae/1`).

    For each simple forecast its own `mae_NAME`; the model's `skill_NAME` against it, 1 - the ratio of squared errors
    (Murphy 1988); `dm_NAME` and `dm_p_NAME`, statistic and p-value of `diebold_mariano` on squared errors averaged over
    the horizon.
    """
    absolute, squared = (_mean(sums, f"{kind}/model") for kind in ("absolute", "squared"))
    metrics = {
        "mae": float(absolute.mean()),
        "rmse": float(np.sqrt(squared.mean())),
        "mase": _ratio(float(absolute.mean()), float(_mean(sums, "naive"))),
    }
    for ahead, (one, other) in enumerate(zip(absolute, np.sqrt(squared), strict=True), start=1):
        metrics |= {f"mae/{ahead}": float(one), f"rmse/{ahead}": float(other)}
    for name in against(sums):
        metrics[f"mae_{name}"] = float(_mean(sums, f"absolute/{name}").mean())
        metrics[f"skill_{name}"], metrics[f"dm_{name}"], metrics[f"dm_p_{name}"] = skills(sums, outputs, name)["all"]
    return metrics


def against(sums: Mapping[str, Any]) -> list[str]:
    """The simple forecasts that the sums know."""
    names = [key.removeprefix("squared/") for key in sums if key.startswith("squared/")]
    return [name for name in names if name != "model"]


def skills(
    sums: Mapping[str, tuple[Any, Any]], outputs: Mapping[str, np.ndarray], name: str
) -> dict[int | str, tuple[float, float, float]]:
    """Skill against a simple forecast, statistic and p-value of `diebold_mariano`: by steps ahead, and for "all"."""
    model, other = (_mean(sums, f"squared/{which}") for which in ("model", name))
    losses = [
        np.square(outputs[key].astype(np.float64) - outputs["future"].astype(np.float64))
        for key in ("forecast", f"reference/{name}")
    ]
    found: dict[int | str, tuple[float, float, float]] = {}
    for ahead in range(1, len(model) + 1):
        test = diebold_mariano(losses[0][:, ahead - 1], losses[1][:, ahead - 1], ahead)
        found[ahead] = (1 - _ratio(float(model[ahead - 1]), float(other[ahead - 1])), *test)
    test = diebold_mariano(losses[0].mean(1), losses[1].mean(1), len(model))
    return found | {"all": (1 - _ratio(float(model.mean()), float(other.mean())), *test)}


def _mean(sums: Mapping[str, tuple[Any, Any]], name: str) -> np.ndarray:
    total, count = (np.asarray(part, np.float64) for part in sums[name])
    return np.asarray(total / count)


def _ratio(over: float, under: float) -> float:
    """over / under, infinite where only `under` is 0; 1 where both are, since neither is better. NaN stays NaN."""
    if under == 0:
        return 1.0 if over == 0 else over * np.inf
    return over / under
