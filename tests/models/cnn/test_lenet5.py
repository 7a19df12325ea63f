"""LeNet-5 against the paper's counts and shapes, a second implementation in NumPy and SciPy, and one in PyTorch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.signal import correlate2d

from dlvr_jax.models.cnn.lenet5 import LeNet5
from tests.initialised import initialised, uneven

LAYOUTS = ("1998", "modern")
both_layouts = pytest.mark.parametrize("layout", LAYOUTS)


def images_of(side: int, batch: int = 2, channels: int = 1) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((batch, side, side, channels), np.float32))


def model_of(layout: str, images: jax.Array, **fields):
    """The model, and its variables with biases that are not zero."""
    model = LeNet5(10, layout, **fields)
    return model, uneven(initialised(model, images))


@partial(jax.jit, static_argnums=0)
def apply(model: LeNet5, variables, images: jax.Array) -> jax.Array:
    return model.apply(variables, images, train=False)


@both_layouts
@pytest.mark.parametrize("side", [28, 32])
def test_it_has_the_parameters_of_a_fully_connected_c3(layout: str, side: int) -> None:
    params = jax.eval_shape(partial(LeNet5(10, layout).init, train=False), jax.random.key(0), images_of(side))["params"]
    counts = {name: sum(leaf.size for leaf in jax.tree.leaves(layer)) for name, layer in params.items()}
    assert counts == {"c1": 156, "c3": 2416, "c5": 48120, "f6": 10164, "output": 850}
    assert sum(counts.values()) == 61_706


@both_layouts
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (8, 1), (27, 2), (40, 1)])
def test_any_size_and_channels_give_finite_logits(layout: str, side: int, channels: int) -> None:
    images = images_of(side, batch=3, channels=channels)
    model, variables = model_of(layout, images)
    logits = apply(model, variables, images)
    assert logits.shape == (3, 10) and logits.dtype == jnp.float32
    assert np.isfinite(logits).all()


@both_layouts
def test_28_pixels_are_the_same_as_32_with_a_border_of_zeros(layout: str) -> None:
    images = images_of(28)
    model, variables = model_of(layout, images)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    # The same products, summed in an order that XLA may choose by shape.
    np.testing.assert_allclose(apply(model, variables, images), apply(model, variables, padded), rtol=1e-5, atol=1e-5)


def by_hand(layout: str, params, image: np.ndarray) -> np.ndarray:
    """Figure 2 of the paper for one image, in float64, map by map."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    squash = (lambda a: 1.7159 * np.tanh(2 * a / 3)) if layout == "1998" else (lambda a: np.maximum(a, 0))
    reduce = np.mean if layout == "1998" else np.max

    def convolve(maps, layer):
        kernel, bias = layer["kernel"], layer["bias"]
        sums = [
            sum(correlate2d(maps[i], kernel[:, :, i, o], "valid") for i in range(len(maps))) + bias[o]
            for o in range(len(bias))
        ]
        return squash(np.array(sums))

    def pool(maps):
        half = range(maps.shape[1] // 2)
        return np.array([[[reduce(m[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]) for c in half] for r in half] for m in maps])

    maps = pool(convolve(image.transpose(2, 0, 1), params["c1"]))
    assert maps.shape == (6, 14, 14)
    maps = pool(convolve(maps, params["c3"]))
    assert maps.shape == (16, 5, 5)
    x = maps.transpose(1, 2, 0).reshape(-1)
    x = squash(x @ params["c5"]["kernel"] + params["c5"]["bias"])
    x = squash(x @ params["f6"]["kernel"] + params["f6"]["bias"])
    return x @ params["output"]["kernel"] + params["output"]["bias"]


@both_layouts
def test_it_computes_what_the_paper_says(layout: str) -> None:
    images = images_of(32)
    model, variables = model_of(layout, images)
    expected = [by_hand(layout, variables["params"], np.asarray(image, np.float64)) for image in images]
    # float32 against float64: sums of up to 400 terms of order 1, five layers deep.
    np.testing.assert_allclose(apply(model, variables, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.compare
@both_layouts
def test_logits_and_gradients_are_those_of_pytorch(layout: str) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    images = images_of(28)
    model, variables = model_of(layout, images)
    ours = jax.grad(lambda params: (model.apply({"params": params}, images, train=False) ** 2).sum())(
        variables["params"]
    )
    params = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf), requires_grad=True), variables["params"])
    squash = (lambda a: 1.7159 * torch.tanh(2 * a / 3)) if layout == "1998" else torch.relu
    pool = functional.avg_pool2d if layout == "1998" else functional.max_pool2d

    def layer(x, name):
        if name in ("c1", "c3"):
            kernel = params[name]["kernel"].permute(3, 2, 0, 1)
            return functional.conv2d(x, kernel, params[name]["bias"], padding=2 if name == "c1" else 0)
        return x @ params[name]["kernel"] + params[name]["bias"]

    x = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
    for name in ("c1", "c3"):
        x = pool(squash(layer(x, name)), 2)
    x = x.permute(0, 2, 3, 1).flatten(1)
    logits = layer(squash(layer(squash(layer(x, "c5")), "f6")), "output")
    # Both float32, with sums in another order.
    np.testing.assert_allclose(model.apply(variables, images, train=False), logits.detach(), rtol=1e-4, atol=1e-4)
    (logits**2).sum().backward()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b.grad, rtol=1e-3, atol=1e-3), ours, params)


@both_layouts
def test_gradients_are_the_slopes(layout: str) -> None:
    images = images_of(32, batch=1)
    with jax.enable_x64(True):  # differences of float32 are too rough to tell
        wide = jnp.asarray(np.asarray(images, np.float64))
        model, variables = model_of(layout, wide, dtype=jnp.float64)
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
        hidden = {name: params[name] for name in ("c1", "c3", "c5")}

        @jax.jit
        def loss(part):
            # The output layer is float32 by design, so stop before it: read F6's activations.
            _, seen = model.apply(
                {"params": params | part}, wide, train=False, capture_intermediates=lambda m, _: m.name == "f6"
            )
            return jnp.sin(seen["intermediates"]["f6"]["__call__"][0]).sum()

        # A step of 1e-6 in float64 is good to about 1e-5; ReLU and max may have a kink within it only by rare chance.
        check_grads(loss, (hidden,), order=1, modes=("rev",), eps=1e-6, rtol=1e-4, atol=1e-4)


@both_layouts
def test_every_parameter_gets_a_gradient(layout: str) -> None:
    images = images_of(28, batch=8)
    model, variables = model_of(layout, images)
    gradient = jax.jit(jax.grad(lambda v: jnp.sin(model.apply(v, images, train=False)).sum()))(variables)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_dropout_takes_traced_rates_under_vmap() -> None:
    images = images_of(28)
    model, variables = model_of("modern", images)

    def logits(rate, seed):
        return model.apply(variables, images, train=True, dropout=rate, rngs={"dropout": jax.random.key(seed)})

    rates = np.float32([0.0, 0.5, 0.5])
    several = np.asarray(jax.jit(jax.vmap(logits))(rates, np.array([0, 0, 1])))
    without = jax.jit(partial(model.apply, train=True))(variables, images)
    # One program's matrix products and another's: f32 rounding.
    np.testing.assert_allclose(several[0], without, rtol=1e-5, atol=1e-5)
    assert not np.allclose(several[1], without, atol=1e-2)
    assert not np.allclose(several[1], several[2], atol=1e-2)


def test_dropout_is_for_training_only() -> None:
    images = images_of(28)
    model, variables = model_of("modern", images)
    dropped = jax.jit(partial(model.apply, train=False, dropout=0.5))(variables, images)
    np.testing.assert_array_equal(dropped, apply(model, variables, images))


@both_layouts
def test_bfloat16_arithmetic_keeps_float32_parameters_and_logits(layout: str) -> None:
    images = images_of(28)
    model, variables = model_of(layout, images, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    logits = apply(model, variables, images)
    assert logits.dtype == jnp.float32
    exact = np.asarray(apply(LeNet5(10, layout), variables, images))
    # bfloat16 keeps 8 bits: 0.4 % a rounding, a few of them, on logits of order 1.
    np.testing.assert_allclose(logits, exact, atol=0.05 * np.abs(exact).max())


@both_layouts
def test_the_signal_keeps_its_scale(layout: str) -> None:
    images = images_of(32, batch=64)
    model = LeNet5(10, layout)
    logits = np.asarray(apply(model, initialised(model, images), images))
    assert 0.1 < float(logits.std()) < 3  # neither vanished nor blown up after five layers
