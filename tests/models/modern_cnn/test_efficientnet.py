"""EfficientNet: published counts, the scaling rule, rates, and a block by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.modern_cnn.efficientnet import EfficientNet, MBConv, scaled_maps

PUBLISHED = {  # torchvision's
    (1.0, 1.0): 5_288_548,
    (1.0, 1.1): 7_794_184,
    (1.1, 1.2): 9_109_994,
    (1.2, 1.4): 12_233_232,
    (2.0, 3.1): 66_347_960,
}
SMALL = EfficientNet(
    5, 0.1, maps=(8, 8), repeats=(1, 2), kernels=(3, 5), strides=(1, 2), expansions=(1, 2), stem_stride=1
)


def images_of(batch: int = 4, side: int = 8, channels: int = 1) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (batch, side, side, channels))


@pytest.fixture(scope="module")
def variables():
    return jax.jit(lambda: SMALL.init(jax.random.key(0), images_of(), train=False))()


@pytest.mark.parametrize("multipliers", PUBLISHED)
def test_parameters_are_as_many_as_published(multipliers: tuple[float, float]) -> None:
    shapes = jax.eval_shape(
        lambda: EfficientNet(1000, *multipliers).init(jax.random.key(0), images_of(1, 32, 3), train=False)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == PUBLISHED[multipliers]


@pytest.mark.parametrize("multiplier", [0.1, 0.5, 1.0, 1.1, 1.4, 2.0])
@pytest.mark.parametrize("maps", [8, 16, 40, 112, 1280])
def test_maps_are_multiples_of_8_near_what_is_asked(maps: int, multiplier: float) -> None:
    found = scaled_maps(maps, multiplier)
    assert found % 8 == 0 and found >= max(8, 0.9 * maps * multiplier)
    assert found == maps or multiplier != 1.0
    assert found <= max(8, maps * multiplier + 8)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="there are maps 2, repeats 7, kernels 7, strides 7, expansions 7"):
        EfficientNet(5, maps=(8, 8)).init(jax.random.key(0), images_of(), train=False)


def test_rates_act_in_training_only_and_may_be_traced(variables) -> None:
    images = images_of()

    @jax.jit
    def trained(dropout, stochastic_depth):
        return SMALL.apply(
            variables,
            images,
            train=True,
            dropout=dropout,
            stochastic_depth=stochastic_depth,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )[0]

    plain = jax.jit(lambda: SMALL.apply(variables, images, train=True, mutable=["batch_stats"])[0])()
    np.testing.assert_allclose(trained(0.0, 0.0), plain, rtol=1e-4, atol=1e-5)  # another program: f32 rounding
    assert not np.allclose(trained(0.0, 0.9), plain, atol=1e-3)
    np.testing.assert_array_equal(trained(1.0, 0.0), jnp.zeros_like(plain))  # only the bias, zero at first, is left
    evaluated = [
        jax.jit(lambda: SMALL.apply(variables, images, train=False, **rates))()  # noqa: B023
        for rates in ({}, dict(dropout=0.5, stochastic_depth=0.5))
    ]
    np.testing.assert_array_equal(*evaluated)


def test_training_updates_every_batch_statistic_and_gives_every_parameter_a_gradient(variables) -> None:
    images = images_of(8)

    @jax.jit
    def slopes(params):
        def loss(params):
            logits, after = SMALL.apply({**variables, "params": params}, images, train=True, mutable=["batch_stats"])
            return jnp.sin(logits).sum(), (logits, after["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    gradient, (logits, after) = slopes(variables["params"])
    assert logits.shape == (8, 5) and logits.dtype == jnp.float32 and np.isfinite(logits).all()
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), variables["batch_stats"], after)))


def test_the_features_make_the_logits(variables) -> None:
    logits, sown = jax.jit(lambda: SMALL.apply(variables, images_of(), train=False, mutable=["intermediates"]))()
    (features,) = sown["intermediates"]["features"]
    output = variables["params"]["output"]
    np.testing.assert_allclose(features @ output["kernel"] + output["bias"], logits, rtol=1e-5, atol=1e-6)


def test_bfloat16_arithmetic_keeps_everything_else_float32() -> None:
    model = SMALL.clone(dtype=jnp.bfloat16)
    logits, shapes = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images_of(), train=False))
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, shapes))} == {jnp.dtype("float32")}


@pytest.mark.compare
@pytest.mark.parametrize(("stride", "features", "expansion"), [(1, 8, 6), (2, 8, 6), (1, 16, 1)])
def test_a_block_is_the_figure_in_pytorch(stride: int, features: int, expansion: int) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = images_of(2, 7, 8)
    model = MBConv(features, 5, stride, expansion)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0.1, 0.5, leaf.shape), jnp.float32), shapes)
    params, stats = (
        jax.tree.map(lambda a: torch.tensor(np.array(a)), variables[name]) for name in ("params", "batch_stats")
    )

    def norm(y, name):
        p, s = params[name], stats[name]
        return functional.batch_norm(y, s["mean"], s["var"], p["scale"], p["bias"], eps=1e-3)

    def dense(y, p):
        return functional.conv2d(y, p["kernel"].T[:, :, None, None], p.get("bias"))

    start = y = torch.tensor(np.array(x)).permute(0, 3, 1, 2)
    if expansion > 1:
        y = functional.silu(norm(dense(y, params["expand"]), "expand_norm"))
    kernel = params["depthwise"]["kernel"].permute(2, 0, 1)[:, None]
    y = functional.conv2d(y, kernel, stride=stride, padding=2, groups=y.shape[1])
    y = functional.silu(norm(y, "depthwise_norm"))
    gate = dense(
        functional.silu(dense(y.mean((2, 3), keepdim=True), params["squeeze_excite"]["reduce"])),
        params["squeeze_excite"]["restore"],
    )
    y = norm(dense(y * torch.sigmoid(gate), params["project"]), "project_norm")
    y = y + start if y.shape == start.shape else y
    found = jax.jit(lambda: model.apply(variables, x, train=False))()
    # float32 sums of up to 48 terms, three deep, all positive kernels.
    np.testing.assert_allclose(found, y.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-4 * float(y.abs().max()))
