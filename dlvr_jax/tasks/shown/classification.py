"""What every classifier shows, whatever it classifies."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlvr_jax.displays import Curves, Display, HeatMap, Table
from dlvr_jax.metrics.classification import finish_classification


def class_displays(sums: Any, names: tuple[str, ...]) -> dict[str, Display]:
    """Of its added sums: confusion matrix, scores per class, calibration."""
    return {
        "confusion": HeatMap(sums["confusion"][0], names, names, "predicted", "true", "Confusion"),
        "classes": _class_table(finish_classification(sums), names),
        "calibration": _calibration(sums["calibration"]),
    }


def _class_table(metrics: Mapping[str, float], names: tuple[str, ...]) -> Table:
    kinds = ("precision", "recall", "f1")
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, *(metrics[f"{kind}/{i}"] for kind in kinds)) for i, name in enumerate(names)
    )
    return Table(("class", *kinds), rows, "Per class")


def _calibration(sums: tuple[np.ndarray, np.ndarray]) -> Curves:
    """Mean confidence of each bin against the accuracy in it.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, figure 4.
    """
    (confidence, correct), count = sums
    bins = count > 0
    x = confidence[bins] / count[bins]
    return Curves(
        x, np.stack([correct[bins] / count[bins], x]), ("model", "perfect"), "confidence", "accuracy", "Calibration"
    )
