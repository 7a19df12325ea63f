"""A network of features: written and read, in batches, and refused where it should be."""

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.feature_file import read, write
from dlvr_jax.metrics.features import FeatureNet, captured
from dlvr_jax.metrics.set_up import set_up
from dlvr_jax.models.cnn.lenet5 import LeNet5
from tests.metrics.small_features import SHAPE, SmallFeatures, written


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def test_it_gives_what_the_model_gives_however_many_images(tmp_path: Path) -> None:
    net = FeatureNet(str(written(tmp_path / "net.safetensors")))
    some = images(503)  # one whole batch and a bit
    seen = net(some)
    model = SmallFeatures(10)
    variables = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)), train=False)
    inputs = (some / np.float32(255) - 0.3) / 0.4
    logits, after = model.apply(variables, inputs, train=False, mutable=["intermediates"])
    assert seen.features.shape == (503, 8) and seen.features.dtype == np.float32
    # A program of another batch size sums in another order: f32 rounding.
    np.testing.assert_allclose(seen.features, after["intermediates"]["features"][0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.probabilities, jax.nn.softmax(logits), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(net(some[:2]).features, seen.features[:2])


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "net.safetensors")
    net = FeatureNet(str(path))
    assert net.about.image_shape == SHAPE and net.about.test_accuracy == 0.95
    assert net.about.arguments == {"num_classes": 10, "widths": (8,)}
    assert len(net.digest) == 64 and hash(net) == hash(FeatureNet(str(path)))
    assert set(read(str(path)).variables) == {"params", "batch_stats"}


def test_a_weak_network_is_refused_unless_asked_for(tmp_path: Path) -> None:
    path = str(written(tmp_path / "net.safetensors", accuracy=0.9199))
    with pytest.raises(UserError, match=r"0\.9199 on made_up, below 0\.92"):
        FeatureNet(path)(images(3))
    with pytest.raises(UserError, match="too few"):
        FeatureNet(path).check_counts(5000, 4999)
    trusted = FeatureNet(path, trusted=True)
    trusted.check_counts(5)
    assert len(trusted(images(3)).features) == 3


def test_other_shapes_and_other_files_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "net.safetensors")
    with pytest.raises(UserError, match=r"takes images of \(8, 8, 1\), not of \(8, 8, 3\)"):
        FeatureNet(str(path), trusted=True)(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="no such file of features"):
        FeatureNet(str(tmp_path / "none")).check(SHAPE)
    for name, content in {"cut": path.read_bytes()[:300], "text": b"no network", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="is no file of features, or is damaged"):
            FeatureNet(str(tmp_path / name)).check(SHAPE)
    strange = written(tmp_path / "strange", model="cnn.no_such.Model")
    with pytest.raises(UserError, match="cnn.no_such.Model"):
        FeatureNet(str(strange))(images(1))


def test_what_would_give_false_figures_is_refused(tmp_path: Path) -> None:
    about, _, _, variables = read(str(written(tmp_path / "net.safetensors")))
    damaged = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), variables)
    faults = {
        "not finite": (about, damaged),
        "a deviation of (0.0,)": (dataclasses.replace(about, std=(0.0,)), variables),
        "its test accuracy is nan": (dataclasses.replace(about, test_accuracy=float("nan")), variables),
        "its network cnn": (about, {"params": variables["params"]}),
    }
    for number, (words, contents) in enumerate(faults.items()):
        write(tmp_path / str(number), *contents)
        with pytest.raises(UserError, match=re.escape(words.replace("cnn", about.model))):
            FeatureNet(str(tmp_path / str(number)), trusted=True).check(SHAPE)


def test_a_model_without_features_is_refused() -> None:
    model = LeNet5(10)
    inputs = jnp.zeros((1, 28, 28, 1))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs, train=False))
    with pytest.raises(UserError, match='LeNet5 sows no "features"'):
        jax.eval_shape(lambda v: captured(model, v, inputs), variables)


def test_a_set_up_tells_networks_images_and_counts_apart(tmp_path: Path) -> None:
    one = FeatureNet(str(written(tmp_path / "one")))
    other = FeatureNet(str(written(tmp_path / "other", accuracy=0.96)))
    first, second = images(6), images(6, seed=1)
    base = set_up(one, first, second)
    assert base == set_up(one, first, first)
    for unlike in (set_up(other, first, second), set_up(one, second, second), set_up(one, first, second[:5])):
        assert base != unlike
