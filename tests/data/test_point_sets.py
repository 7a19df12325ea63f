import numpy as np
import pytest

from dlvr_jax.data.builders.rings import rings
from dlvr_jax.data.builders.two_moons import two_moons
from dlvr_jax.data.sources import SPLITS


@pytest.mark.parametrize("builder", [two_moons, rings])
def test_splits_are_drawn_apart_and_the_same_each_time(builder) -> None:
    source = builder(train=40, validation=20, test=30, sample_seed=3)
    for split, count in zip(SPLITS, (40, 20, 30), strict=True):
        arrays = source.arrays(split)
        assert np.bincount(arrays["label"]).tolist() == [count // 2, count // 2]
        for name, feature in source.spec.features.items():
            assert arrays[name].shape == (count, *feature.shape) and arrays[name].dtype == feature.dtype
    points = [{tuple(point) for point in source.arrays(split)["point"]} for split in SPLITS]
    assert len(set().union(*points)) == 90
    assert source.fingerprint() == builder(train=40, validation=20, test=30, sample_seed=3).fingerprint()
    assert source.fingerprint() != builder(train=40, validation=20, test=30, sample_seed=4).fingerprint()


def test_without_noise_the_points_lie_on_their_curves() -> None:
    arrays = rings(noise=0.0, factor=0.5, train=50, validation=2, test=2).arrays("train")
    np.testing.assert_allclose(np.linalg.norm(arrays["point"], axis=1), np.where(arrays["label"], 0.5, 1.0), rtol=1e-6)
    arrays = two_moons(noise=0.0, train=50, validation=2, test=2).arrays("train")
    centre = np.where(arrays["label"][:, None], [1.0, 0.5], [0.0, 0.0])
    np.testing.assert_allclose(np.linalg.norm(arrays["point"] - centre, axis=1), 1.0, rtol=1e-6)
