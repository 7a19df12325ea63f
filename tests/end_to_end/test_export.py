"""`export` on a run folder: a classifier becomes a network of features."""

from pathlib import Path

import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.features import FeatureNet
from tests.end_to_end.conftest import Launch


def test_a_classifier_becomes_a_network_of_features(tmp_path: Path, call: Launch) -> None:
    run, out = tmp_path / "run", tmp_path / "net.safetensors"
    done = call("train", "configs/cnn/small_vgg_fashion_mnist.py:tiny", "--workdir", run)
    assert done.returncode == 0, done.stderr
    done = call("export", run, "--out", out)
    assert done.returncode == 0, done.stderr
    net = FeatureNet(str(out), trusted=True)
    assert net.digest in done.stdout and "test accuracy" in done.stdout
    assert net.about.model == "cnn.small_vgg.SmallVGG" and net.about.test_examples == 32
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1)).astype(np.uint8)
    assert net(images).features.shape == (7, 64)
    np.testing.assert_allclose(net(images).probabilities.sum(1), 1, rtol=1e-5)  # a float32 softmax
    with pytest.raises(UserError, match=r"below 0\.92"):
        FeatureNet(str(out)).check((28, 28, 1))


def test_a_model_without_features_is_told(tiny_run: Path, call: Launch) -> None:
    done = call("export", tiny_run)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert 'sows no "features"' in done.stderr
