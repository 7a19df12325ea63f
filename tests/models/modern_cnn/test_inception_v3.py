"""Inception-v3: its count, its file as PyTorch names it, the network beside one in PyTorch, and what is refused."""

from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from dlvr_jax.errors import UserError
from dlvr_jax.metrics import features
from dlvr_jax.metrics.feature_file import read
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.metrics.set_up import described, set_up
from dlvr_jax.models.modern_cnn.inception_v3 import InceptionV3


@lru_cache(maxsize=1)
def shapes():
    model = InceptionV3(1008)
    found = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=False))
    return {name: found[name] for name in ("params", "batch_stats")}


@lru_cache(maxsize=1)
def weights() -> dict[str, np.ndarray]:
    """Random ones as PyTorch has them, of a size at which the signal stays."""
    draws, found = np.random.default_rng(0), {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes()):
        *parents, last = [part.key for part in path][1:]
        name = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}.get(last, last)
        array = draws.standard_normal(leaf.shape, np.float32)
        if last == "kernel":
            array = np.moveaxis(array * np.float32(np.sqrt(2 / np.prod(leaf.shape[:-1]))), (-1, -2), (0, 1))
        elif last in ("scale", "var"):
            array = 1 + 0.2 * np.abs(array)
        found[".".join([*parents, name])] = np.ascontiguousarray(0.1 * array if last in ("bias", "mean") else array)
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    unused = {"Mixed_5b.branch1x1.bn.num_batches_tracked": np.zeros((), np.int64)}
    save_file(weights() | unused, path)
    return path


def test_it_has_the_count_of_its_table() -> None:
    """Keras gives 21,802,784 without the last layer, 17,216 means and as many variances among them, and no scales."""
    parts = {name: sum(leaf.size for leaf in jax.tree.leaves(tree)) for name, tree in shapes()["params"].items()}
    assert sum(parts.values()) - parts["fc"] == 21_802_784 - 17_216
    assert parts["fc"] == 2048 * 1008 + 1008


def test_a_file_of_its_weights_is_known_by_its_names(path: Path) -> None:
    net = FeatureNet(str(path))
    net.check((28, 28, 1))
    net.check((64, 48, 3))
    with pytest.raises(UserError, match=r"one or three channels, not of \(8, 8, 4\)"):
        net.check((8, 8, 4))
    variables = read(str(path)).variables
    assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, shapes())
    kernel = weights()["Mixed_7c.branch3x3dbl_3b.conv.weight"]
    own = variables["params"]["Mixed_7c"]["branch3x3dbl_3b"]["conv"]["kernel"]
    np.testing.assert_array_equal(own, kernel.transpose(2, 3, 1, 0))


def test_its_set_up_is_a_digest_and_a_name(path: Path) -> None:
    net, images = FeatureNet(str(path)), np.zeros((2, 4, 4, 1), np.uint8)
    assert described(net) == {"network": "Inception-v3", "file": str(path), "sha256": net.digest}
    assert "set_up/accuracy" not in set_up(net, images, images)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"fc.weight": np.zeros((1000, 2048), np.float32)},
            r"params/fc/kernel is of shape \(2048, 1008\), not \(2048, 1000",
        ),
        ({"Mixed_5b.branch1x1.bn.running_var": None}, "lacks 1 arrays .*, first batch_stats/Mixed_5b/branch1x1/bn/var"),
        ({"AuxLogits.fc.bias": np.zeros(9, np.float32)}, "params/AuxLogits/fc/bias is not there in Inception-v3 with"),
    ],
)
def test_other_weights_are_refused_in_a_line(tmp_path: Path, change: dict, fault: str) -> None:
    tensors = {name: array for name, array in (weights() | change).items() if array is not None}
    (tmp_path / "other").write_bytes(save(tensors))
    with pytest.raises(UserError, match=f"other is no file of features, or is damaged: .*{fault}") as caught:
        FeatureNet(str(tmp_path / "other")).check((28, 28, 1))
    assert len(caught.value.faults) == 1


def test_a_damaged_file_and_pytorchs_own_are_refused(tmp_path: Path, path: Path) -> None:
    for name, content in {"cut": path.read_bytes()[:1_000_000], "zip": b"PK\x03\x04", "pickle": b"\x80\x02}"}.items():
        (tmp_path / name).write_bytes(content)
        how = "damaged: " if name == "cut" else "write its state_dict by safetensors.torch.save_file"
        with pytest.raises(UserError, match=how):
            FeatureNet(str(tmp_path / name)).check((28, 28, 1))


@pytest.mark.compare
@pytest.mark.parametrize("shape", [(28, 28, 1), (310, 320, 3)])
def test_it_sees_what_pytorchs_sees(path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from tests.models.modern_cnn.torch_inception import FIDInception

    monkeypatch.setattr(features, "_LARGE", 2)
    images = np.random.default_rng(1).integers(0, 256, (2, *shape)).astype(np.uint8)
    seen = FeatureNet(str(path))(images)
    other = FIDInception().eval()
    lacking = other.load_state_dict({name: torch.from_numpy(array) for name, array in weights().items()}, strict=False)
    assert not lacking.unexpected_keys and all("num_batches" in name for name in lacking.missing_keys)
    colours = torch.from_numpy(np.repeat(images, 3 // shape[-1], -1)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        found, logits = other(colours)
    assert found.std() > 0.01 and (found[0] - found[1]).abs().max() > 0.01
    # 94 layers of sums of up to 3,456 products, in f32.
    np.testing.assert_allclose(seen.features, found.numpy(), rtol=1e-3, atol=1e-3 * float(found.abs().max()))
    np.testing.assert_allclose(seen.probabilities, torch.softmax(logits, 1).numpy(), rtol=1e-2, atol=1e-5)
