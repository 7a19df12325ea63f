"""ResNet: published counts, shapes, the depth rule, and transformers' own with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.models.modern_cnn.resnet import ResNet, ResNetCifar, blocks_a_stage
from tests.configs import tiny

CONFIG = "configs/modern_cnn/resnet20_fashion_mnist.py"
PUBLISHED = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}  # torchvision's
SMALL = (ResNet(5, depth=10, width=4, stem="small"), ResNetCifar(5, depth=8, width=4))
both = pytest.mark.parametrize("model", SMALL, ids=lambda model: type(model).__name__)


def images_of(batch: int = 4, side: int = 12, channels: int = 1) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (batch, side, side, channels))


def shapes(model, side: int, channels: int = 3):
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images_of(1, side, channels), train=False))


def count(model, side: int = 64, channels: int = 3) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(model, side, channels)["params"]))


@pytest.mark.parametrize("depth", PUBLISHED)
def test_parameters_are_as_many_as_published(depth: int) -> None:
    assert count(ResNet(1000, depth)) == PUBLISHED[depth]


@pytest.mark.parametrize(("depth", "published"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_the_cifar_layout_has_the_counts_of_table_6(depth: int, published: float) -> None:
    n, total, before = (depth - 2) // 6, 0, 3
    total += 27 * 16 + 2 * 16
    before = 16
    for maps in (16, 32, 64):
        total += 9 * before * maps + (2 * n - 1) * 9 * maps * maps + 2 * n * 2 * maps  # option A has no parameters
        before = maps
    total += 64 * 10 + 10
    assert count(ResNetCifar(10, depth), 32) == total
    assert abs(total / 1e6 - published) < 0.03


def test_the_depth_in_the_name_is_the_number_of_layers_with_weights() -> None:
    for model in (ResNet(10, 18), ResNet(10, 50), ResNetCifar(10, 20), ResNetCifar(10, 56)):
        leaves = jax.tree_util.tree_leaves_with_path(shapes(model, 64)["params"])
        kernels = [path for path, _ in leaves if path[-1].key == "kernel" and path[-2].key != "shortcut"]
        assert len(kernels) == model.depth


@both
def test_training_updates_every_batch_statistic_and_gives_every_parameter_a_gradient(model) -> None:
    images = images_of(8)
    variables = jax.jit(lambda: model.clone(zero_init=False).init(jax.random.key(0), images, train=False))()

    @jax.jit
    def slopes(params):
        def loss(params):
            logits, after = model.apply({**variables, "params": params}, images, train=True, mutable=["batch_stats"])
            return jnp.sin(logits).sum(), (logits, after["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    gradient, (logits, after) = slopes(variables["params"])
    assert logits.shape == (8, 5) and logits.dtype == jnp.float32 and np.isfinite(logits).all()
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), variables["batch_stats"], after)
    assert all(jax.tree.leaves(changed))


@both
def test_the_features_make_the_logits(model) -> None:
    images = images_of()
    variables = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
    logits, sown = jax.jit(lambda: model.apply(variables, images, train=False, mutable=["intermediates"]))()
    (features,) = sown["intermediates"]["features"]
    output = variables["params"]["output"]
    np.testing.assert_allclose(features @ output["kernel"] + output["bias"], logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("stem", "side", "expected"), [("imagenet", 224, 7), ("small", 28, 4), ("imagenet", 28, 1)])
def test_the_stem_decides_how_coarse_the_last_maps_are(stem, side: int, expected: int) -> None:
    model = ResNet(5, 10, 4, stem)
    _, seen = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), images_of(1, side), train=False, capture_intermediates=True)
    )
    assert seen["intermediates"]["block4_1"]["__call__"][0].shape[1:3] == (expected, expected)


@both
def test_bfloat16_arithmetic_keeps_everything_else_float32(model) -> None:
    variables, logits = jax.eval_shape(
        lambda: (
            (v := model.clone(dtype=jnp.bfloat16).init(jax.random.key(0), images_of(), train=False)),
            model.clone(dtype=jnp.bfloat16).apply(v, images_of(), train=False),
        )
    )
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("depth", "message"), [(21, "use 20 or 26"), (2, "use 8"), (-4, "use 8"), (9, "use 8 or 14"), (25, "use 20 or 26")]
)
def test_other_depths_are_refused_with_the_nearest(depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"depth = {depth} is not 6n \\+ 2 .*; {message}$"):
        blocks_a_stage(depth)


def test_the_command_line_says_so_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^model.name = .*depth = 21 is not 6n \+ 2 .*; use 20 or 26$"):
        tiny(CONFIG, model__depth="21")


@pytest.mark.compare
@pytest.mark.parametrize("depth", [18, 50])
def test_logits_are_those_of_transformers(depth: int) -> None:
    """Every weight and statistic random; half the width of the paper's, so that it takes a second."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    bottleneck = depth == 50
    theirs = transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[(32 if bottleneck else 8) * 2**stage for stage in range(4)],
            depths=[3, 4, 6, 3] if bottleneck else [2, 2, 2, 2],
            layer_type="bottleneck" if bottleneck else "basic",
            num_labels=7,
        )
    ).eval()
    images = images_of(2, 64, 3)
    model = ResNet(7, depth, width=8)
    variables = jax.tree.map(_random, jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False)))
    with torch.no_grad():
        theirs.load_state_dict({name: torch.tensor(a) for name, a in _state_dict(variables, bottleneck).items()})
        expected = theirs(torch.tensor(np.array(images)).permute(0, 3, 1, 2)).logits
    found = jax.jit(lambda: model.apply(variables, images, train=False))()
    # Both float32; up to 53 convolutions that sum up to 576 terms each, in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def _random(shape: jax.ShapeDtypeStruct) -> np.ndarray:
    """Kernels that keep the scale of the signal; scales, biases and statistics between 0.5 and 1."""
    rng = np.random.default_rng(shape.size)
    if len(shape.shape) > 1:
        return (rng.standard_normal(shape.shape) / np.sqrt(np.prod(shape.shape[:-1]))).astype(np.float32)
    return rng.uniform(0.5, 1, shape.shape).astype(np.float32)


def _state_dict(variables, bottleneck: bool) -> dict[str, np.ndarray]:
    """Our variables under the names of transformers."""
    params, stats, found = variables["params"], variables["batch_stats"], {}

    def layer(place: str, ours: dict, norms: dict, conv: str, norm: str) -> None:
        kernel = ours[conv]["kernel"]
        kernel = kernel[None, None] if kernel.ndim == 2 else kernel
        found[f"{place}.convolution.weight"] = kernel.transpose(3, 2, 0, 1)
        found[f"{place}.normalization.weight"] = ours[norm]["scale"]
        found[f"{place}.normalization.bias"] = ours[norm]["bias"]
        found[f"{place}.normalization.running_mean"] = norms[norm]["mean"]
        found[f"{place}.normalization.running_var"] = norms[norm]["var"]
        found[f"{place}.normalization.num_batches_tracked"] = np.array(0)

    layer("resnet.embedder.embedder", params, stats, "stem", "stem_norm")
    for name in params:
        if not name.startswith("block"):
            continue
        stage, place = (int(number) - 1 for number in name.removeprefix("block").split("_"))
        path = f"resnet.encoder.stages.{stage}.layers.{place}"
        for number in range(1, 4 if bottleneck else 3):
            layer(f"{path}.layer.{number - 1}", params[name], stats[name], f"conv{number}", f"norm{number}")
        if "shortcut" in params[name]:
            layer(f"{path}.shortcut", params[name], stats[name], "shortcut", "shortcut_norm")
    found["classifier.1.weight"] = params["output"]["kernel"].T
    found["classifier.1.bias"] = params["output"]["bias"]
    return {name: np.ascontiguousarray(value) for name, value in found.items()}
