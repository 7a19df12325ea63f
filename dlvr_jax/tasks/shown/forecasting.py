"""Forecasts as curves and tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from dlvr_jax.displays import Curves, Display, Table
from dlvr_jax.metrics.forecasting import against, skills
from dlvr_jax.tasks.task import Batch

STEPS = 300  # of a curve over time, the last ones


def continued(batch: Batch, forecasts: Float[np.ndarray, "batch horizon"]) -> dict[str, Display]:
    """Each history, once with its forecast and once with what really followed; step 0 is the last that is known."""
    shown: dict[str, Display] = {}
    for row, forecast in enumerate(forecasts):
        history = np.asarray(batch["history"])[row, :, 0]
        known = np.r_[np.full(len(history) - 1, np.nan), history[-1]]
        lines = np.stack([np.r_[history, np.asarray(batch["future"])[row]], np.r_[known, forecast]])
        steps = np.arange(1 - len(history), 1 + len(forecast))
        shown[f"forecast_{row:02}"] = Curves(
            steps.astype(np.float64), lines.astype(np.float64), ("truth", "forecast"), "steps ahead", "value"
        )
    return shown


def over_time(outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
    """The truth, and the forecasts made one step and `horizon` steps before, over the last windows."""
    shown: dict[str, Display] = {}
    for ahead in sorted({1, outputs["future"].shape[1]}):
        lines = np.stack([outputs[name][-STEPS:, ahead - 1] for name in ("future", "forecast")]).astype(np.float64)
        time = np.arange(len(outputs["index"]))[-STEPS:].astype(np.float64)
        title = f"Forecasts of {ahead} step{'s' if ahead > 1 else ''} ahead"
        shown[f"ahead_{ahead}"] = Curves(time, lines, ("truth", "forecast"), "window", "value", title)
    return shown


def by_horizon(sums: Mapping[str, tuple[Any, Any]]) -> Curves:
    """Mean absolute error of the model and of simple forecasts, by steps ahead. Zero is left out: its scale differs."""
    names = ["model", *(name for name in against(sums) if name != "zero")]
    lines = np.stack([np.asarray(sums[f"absolute/{name}"][0] / sums[f"absolute/{name}"][1]) for name in names])
    steps = np.arange(1, lines.shape[1] + 1).astype(np.float64)
    return Curves(steps, lines, tuple(names), "steps ahead", "mean absolute error", "Error by horizon")


def skill_table(sums: Mapping[str, tuple[Any, Any]], outputs: Mapping[str, np.ndarray]) -> Table:
    """Skill, Diebold-Mariano statistic and p-value, against each simple forecast and for each step ahead."""
    rows = [(name, ahead, *found) for name in against(sums) for ahead, found in skills(sums, outputs, name).items()]
    columns = ("against", "steps ahead", "skill", "statistic", "p-value")
    return Table(columns, tuple(rows), "Skill (1 - ratio of squared errors), and the test of Diebold and Mariano")
