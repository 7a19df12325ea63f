"""Modes covered and good points, where they are known."""

import numpy as np
import pytest

from dlvr_jax.metrics.modes import mode_metrics

CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])


def clusters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(count) % 4
    return (CENTRES[label] + 0.1 * np.random.default_rng(seed).normal(size=(count, 2))).astype(np.float32), label


def test_real_points_cover_all() -> None:
    (real, label), (other, _) = clusters(4000, 0), clusters(4000, 1)
    found = mode_metrics(real, label.astype(np.int32), other)
    assert found["modes_covered"] == 4
    assert found["good_fraction"] == pytest.approx(1 - np.exp(-4.5), abs=0.007)  # Rayleigh within 3; 4 standard errors
    assert found["good_fraction_real"] == pytest.approx(1 - np.exp(-4.5), abs=0.007)


def test_collapse_and_stray_points_are_seen() -> None:
    real, label = clusters(4000, 0)
    other, other_label = clusters(4000, 1)
    assert mode_metrics(real, label, other[other_label == 2])["modes_covered"] == 1
    few = np.concatenate([other[other_label == 0], other[other_label == 1][:5]])  # five strays are no mode
    assert mode_metrics(real, label, few)["modes_covered"] == 1
    between = np.full((100, 2), 2.0, np.float32)
    assert mode_metrics(real, label, between) == pytest.approx(
        {"modes_covered": 0, "good_fraction": 0, "good_fraction_real": 0.989}, abs=0.007
    )
