"""Eight Gaussians on a circle."""

import numpy as np
import pytest

from dlvr_jax.data.builders.gaussians import gaussians
from dlvr_jax.schema import fields_of


def test_points_lie_around_their_modes() -> None:
    source = gaussians(std=0.1)
    for split, count in source.spec.splits.items():
        arrays = source.arrays(split)
        point, label = arrays["point"], arrays["label"]
        assert point.shape == (count, 2) and point.dtype == np.float32 and label.dtype == np.int32
        for mode in range(8):
            own = point[label == mode]
            angle = np.pi / 4 * mode
            centre = [2 * np.cos(angle), 2 * np.sin(angle)]
            assert len(own) == count // 8
            np.testing.assert_allclose(own.mean(0), centre, atol=5 * 0.1 / np.sqrt(len(own)))  # 5 standard errors
            np.testing.assert_allclose(own.std(0), 0.1, rtol=0.15)
    assert point.std(0) == pytest.approx(source.spec.std, rel=0.01)


def test_splits_differ_and_the_points_stay_for_ever() -> None:
    source = gaussians(train=8, validation=8, test=8)
    assert not np.intersect1d(source.arrays("train")["point"], source.arrays("test")["point"]).size
    np.testing.assert_array_equal(gaussians().arrays("train")["label"][:9], [0, 1, 2, 3, 4, 5, 6, 7, 0])
    first = gaussians().arrays("train")["point"][:2]
    expected = [[2.0043108, 0.0017555078], [1.4775827, 1.4116629]]
    np.testing.assert_allclose(first, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["radius", "std"])
def test_a_size_of_zero_is_out_of_range(name: str) -> None:
    """The data's deviation must be above 0."""
    allowed = fields_of(gaussians)[name].range
    assert allowed is not None and 0.0 not in allowed and 0.05 in allowed
