"""Metrics of several trainings as one."""

from collections.abc import Mapping, Sequence

import numpy as np


def mean_of(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Over the members of a population; a metric that some lack is left out."""
    common = [name for name in metrics[0] if all(name in own for own in metrics)] if metrics else []
    return {name: float(np.mean([own[name] for own in metrics])) for name in common}
