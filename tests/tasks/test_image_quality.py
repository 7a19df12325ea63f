"""The figures that every task of images shares."""

from pathlib import Path

import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.tasks.image_quality import DIRECTIONS, JUDGED, image_quality, nearest_shown, quality_table
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


def test_who_remembers_is_nearer_to_the_training_images_than_real_ones_are(tmp_path: Path) -> None:
    net = FeatureNet(str(written(tmp_path / "net")), trusted=True)
    training, real, invented = pictures(300, 0), pictures(40, 1), pictures(40, 2)
    known = lambda: training  # noqa: E731
    honest, copied = (image_quality(real, made, net, known) for made in (invented, training[5:45]))
    assert copied["nearest_training"] == pytest.approx(0, abs=1e-3)  # a difference of squares, from f32 features
    assert copied["nearest_training_real"] == honest["nearest_training_real"] > 0.1
    assert honest["nearest_training"] == pytest.approx(honest["nearest_training_real"], rel=0.5)
    assert honest["set_up/training_count"] == 300
    assert {name for name in honest if not name.startswith("set_up/")} == set(JUDGED) - {"class_agreement"}


def test_images_stand_above_the_training_images_that_are_nearest(tmp_path: Path) -> None:
    net = FeatureNet(str(written(tmp_path / "net")), trusted=True)
    training = pictures(50, 0)
    shown = nearest_shown(training[[7, 3, 41]], net, lambda: training)["nearest_training"]
    assert shown.images.shape == (3, 16, 8, 1) and len(shown.captions) == 3 and "50 training" in shown.title
    np.testing.assert_array_equal(shown.images[:, :8], shown.images[:, 8:])
    assert nearest_shown(training, None, lambda: training) == nearest_shown(training, net, None) == {}
