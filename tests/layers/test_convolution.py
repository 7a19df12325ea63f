"""Convolutions against Flax's, in values and in derivatives of first and second order, and in what layout they are."""

import re
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlvr_jax.benchmarks.flops import count_flops
from dlvr_jax.layers.convolution import Conv, TransposedConv, convolution, transposed_convolution

F32 = dict(rtol=2e-4, atol=2e-4)  # sums of some hundred terms of order 1, in another order
PAIRS = {
    "down": (Conv(5, (4, 4), 2), nn.Conv(5, (4, 4), 2)),
    "odd": (Conv(5, (3, 2), (2, 1)), nn.Conv(5, (3, 2), (2, 1))),
    "plain": (Conv(5, (3, 3)), nn.Conv(5, (3, 3))),
    "valid": (Conv(5, (5, 5), padding="VALID"), nn.Conv(5, (5, 5), padding="VALID")),
    "padded": (Conv(5, (3, 3), 3, padding=((2, 0), (1, 1))), nn.Conv(5, (3, 3), 3, padding=((2, 0), (1, 1)))),
    "of groups": (Conv(4, (3, 3), feature_group_count=2), nn.Conv(4, (3, 3), feature_group_count=2)),
    "up": (TransposedConv(5, 4, 2), nn.ConvTranspose(5, (4, 4), (2, 2), transpose_kernel=True)),
}
every_pair = pytest.mark.parametrize("name", PAIRS)


def example(name: str):
    """Both layers, one set of parameters for both, and an input."""
    ours, theirs = PAIRS[name]
    x = jax.random.normal(jax.random.key(0), (3, 8, 7, 2))
    params = ours.init(jax.random.key(1), x)["params"]
    params["bias"] = jnp.arange(float(ours.features))
    return ours, theirs, params, x


def penalty(layer: nn.Module, x: jax.Array) -> Callable[[dict], jax.Array]:
    """As the gradient penalty: of the norm of a gradient by the input, behind a layer that bends."""

    def of(params):
        gradient = jax.grad(lambda x: jnp.sin(layer.apply({"params": params}, x)).sum())(x)
        return (jnp.sqrt((gradient**2).sum((1, 2, 3))) - 1).sum()

    return of


@every_pair
def test_values_are_those_of_flax(name: str) -> None:
    ours, theirs, params, x = example(name)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, theirs.init(jax.random.key(1), x)["params"])
    np.testing.assert_allclose(ours.apply({"params": params}, x), theirs.apply({"params": params}, x), **F32)


@every_pair
def test_derivatives_of_both_orders_are_those_of_flax(name: str) -> None:
    ours, theirs, params, x = example(name)
    losses = [
        [lambda p, one=one: jnp.sin(one.apply({"params": p}, x)).sum(), penalty(one, x)] for one in (ours, theirs)
    ]
    for mine, expected in zip(*losses, strict=True):
        for found, other in zip(
            *(jax.tree.leaves(jax.jit(jax.grad(one))(params)) for one in (mine, expected)), strict=True
        ):
            np.testing.assert_allclose(found, other, **F32)


@settings(deadline=None, max_examples=8)  # each is compiled
@given(
    width=st.integers(1, 11),
    window=st.integers(1, 5),
    stride=st.integers(1, 3),
    inputs=st.integers(1, 4),
    outputs=st.sampled_from([1, 3, 17]),
    padding=st.sampled_from(["SAME", "VALID", ((1, 0), (2, 3))]),
)
def test_few_maps_of_any_width_convolve_as_many_do(width, window, stride, inputs, outputs, padding) -> None:
    assume(width >= window or padding != "VALID")  # else there is nothing to differentiate
    x = jax.random.normal(jax.random.key(0), (2, 6, width, inputs))
    kernel = jax.random.normal(jax.random.key(1), (3, window, inputs, outputs))
    plain = partial(jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    @jax.jit
    def both(x, kernel):
        results = []
        for convolve in (convolution, plain):
            y, back = jax.vjp(lambda x, kernel, form=convolve: form(x, kernel, (2, stride), padding), x, kernel)
            results.append((y, *back(jnp.cos(y))))
        return results

    for found, expected in zip(*both(x, kernel), strict=True):
        np.testing.assert_allclose(found, expected, **F32)


def test_the_third_order_is_right_too() -> None:
    ours, theirs, params, x = example("down")

    def size(one, params):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(jax.grad(penalty(one, x))(params)))

    found, other = (jax.jit(jax.grad(partial(size, one)))(params) for one in (ours, theirs))
    np.testing.assert_allclose(found["kernel"], other["kernel"], rtol=2e-3, atol=2e-2)  # of order 100


def test_the_transpose_is_the_transpose() -> None:
    x, kernel = jax.random.normal(jax.random.key(0), (2, 8, 6, 3)), jax.random.normal(jax.random.key(1), (4, 4, 3, 5))
    y = jax.random.normal(jax.random.key(2), (2, 4, 3, 5))
    left = (transposed_convolution(y, kernel, 2) * x).sum()
    right = (y * convolution(x, kernel, (2, 2), "SAME")).sum()
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_a_window_wider_than_the_picture_gives_nothing() -> None:
    assert convolution(jnp.ones((1, 6, 3, 1)), jnp.ones((5, 5, 1, 6)), (1, 1), "VALID").shape == (1, 2, 0, 6)


def test_operations_of_gradients_are_counted_too() -> None:
    *_, params, x = example("valid")

    def both(module: nn.Module, params, x):
        return jax.grad(lambda params, x: module.apply({"params": params}, x).sum(), (0, 1))(params, x)

    found, other = (count_flops(jax.make_jaxpr(partial(both, module))(params, x)) for module in PAIRS["valid"])
    assert found == pytest.approx(other, rel=0.02)


def test_members_of_a_population_have_kernels_of_their_own() -> None:
    ours, _, params, x = example("up")
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), params)
    grads = jax.jit(jax.vmap(jax.grad(penalty(ours, x))))(both)
    alone = jax.jit(jax.grad(penalty(ours, x)))(jax.tree.map(lambda leaf: -leaf, params))
    np.testing.assert_allclose(grads["kernel"][1], alone["kernel"], **F32)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the layout is for CPUs")
@pytest.mark.parametrize("name", [name for name in PAIRS if name != "of groups"])
def test_every_derivative_is_in_one_layout(name: str) -> None:
    ours, _, params, x = example(name)
    program = str(jax.make_jaxpr(jax.grad(penalty(ours, x)))(params))
    layouts = set(re.findall(r"ConvDimensionNumbers\(.*?\)(?=\s)", program))
    assert len(layouts) == 1, layouts


@every_pair
def test_its_operations_are_counted(name: str) -> None:
    *_, params, x = example(name)
    found, other = (count_flops(jax.make_jaxpr(lambda x, m=m: m.apply({"params": params}, x))(x)) for m in PAIRS[name])
    assert found == pytest.approx(other, rel=0.01) and found > 0


@every_pair
def test_bfloat16_arithmetic_keeps_float32_parameters(name: str) -> None:
    ours, _, params, x = example(name)
    layer = ours.clone(dtype=jnp.bfloat16)
    assert layer.apply({"params": params}, x).dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(layer.init(jax.random.key(0), x))} == {jnp.dtype("float32")}
