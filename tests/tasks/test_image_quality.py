"""The figures that every task of images shares."""

from pathlib import Path

import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.tasks.image_quality import DIRECTIONS, image_quality, quality_table
from tests.metrics.small_features import SHAPE, written


def pictures(count: int, seed: int) -> np.ndarray:
    """Random blocks of 4 x 4."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 1))
    return blocks.repeat(4, 1).repeat(4, 2).astype(np.uint8)


def test_figures_get_worse_with_noise_and_stand_beside_their_set_up(tmp_path: Path) -> None:
    net = FeatureNet(str(written(tmp_path / "net")), trusted=True)
    real, other = pictures(600, 0), pictures(600, 1)
    noise = np.random.default_rng(2).normal(size=(600, *SHAPE))
    worse = [np.clip(other + level * noise, 0, 255).astype(np.uint8) for level in (0, 60, 200)]
    found = [image_quality(real, images, net) for images in worse]
    assert set(DIRECTIONS) < set(found[0])
    assert found[0]["fid"] < found[1]["fid"] < found[2]["fid"]
    assert found[0]["fid"] < 3 * found[0]["fid_real"]  # two samples of one law, with twice the examples of the halves
    assert found[0]["coverage"] > found[2]["coverage"]
    assert found[0]["set_up/real_count"] == 600 and found[0]["set_up/accuracy"] == 0.95
    table = quality_table(found[0], net)
    assert ("sha256", net.digest) in table.rows


def test_no_network_no_figures_and_few_images_are_refused(tmp_path: Path) -> None:
    images = pictures(20, 0)
    assert image_quality(images, images, None) == {}
    with pytest.raises(UserError, match="20 examples are too few"):
        image_quality(images, images, FeatureNet(str(written(tmp_path / "net"))))
