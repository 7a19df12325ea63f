"""Operations by formula, and convolutions against XLA's own count."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.benchmarks.flops import count_flops
from tests.configs import tiny


def flops(function, *shapes) -> int:
    return count_flops(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)))


def convolution(strides=(1, 1), padding="VALID", groups=1, dilation=(1, 1)):
    return lambda x, k: jax.lax.conv_general_dilated(
        x,
        k,
        strides,
        padding,
        rhs_dilation=dilation,
        feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def test_matrix_products() -> None:
    assert flops(jnp.matmul, (3, 5), (5, 7)) == 2 * 3 * 5 * 7
    assert flops(lambda a, b: jnp.einsum("bhqd,bhkd->bhqk", a, b), (2, 4, 6, 8), (2, 4, 9, 8)) == 2 * 2 * 4 * 6 * 9 * 8
    assert flops(lambda a, b: jnp.einsum("abc,cba->", a, b), (2, 3, 4), (4, 3, 2)) == 2 * 2 * 3 * 4


@pytest.mark.parametrize(
    ("options", "image", "kernel", "expected"),
    [
        ({}, (2, 9, 9, 3), (3, 3, 3, 4), 2 * 2 * 7 * 7 * 4 * 3 * 9),
        ({"strides": (2, 2)}, (2, 9, 9, 3), (3, 3, 3, 4), 2 * 2 * 4 * 4 * 4 * 3 * 9),
        ({"dilation": (2, 2)}, (2, 9, 9, 3), (3, 3, 3, 4), 2 * 2 * 5 * 5 * 4 * 3 * 9),
        ({"groups": 3}, (2, 9, 9, 6), (3, 3, 2, 12), 2 * 2 * 7 * 7 * 12 * 2 * 9),
        ({"groups": 6}, (2, 9, 9, 6), (3, 3, 1, 6), 2 * 2 * 7 * 7 * 6 * 9),
        # Padding is nothing to multiply with: along each axis, three taps at nine places meet 3 x 9 - 2 elements.
        ({"padding": "SAME"}, (2, 9, 9, 3), (3, 3, 3, 4), 2 * 2 * 25 * 25 * 4 * 3),
    ],
)
def test_a_convolution_and_both_of_its_gradients(options, image, kernel, expected) -> None:
    apply = convolution(**options)
    out = jax.eval_shape(apply, jnp.zeros(image), jnp.zeros(kernel)).shape
    assert flops(apply, image, kernel) == expected
    assert flops(lambda x, k, g: jax.vjp(lambda x: apply(x, k), x)[1](g), image, kernel, out) == 2 * expected
    assert flops(lambda x, k, g: jax.vjp(lambda k: apply(x, k), k)[1](g), image, kernel, out) == 2 * expected


@pytest.mark.parametrize("options", [{}, {"strides": (2, 2), "padding": "SAME"}, {"dilation": (2, 2)}, {"groups": 3}])
def test_convolutions_as_xla_counts_them(options) -> None:
    image, kernel = jnp.zeros((2, 9, 9, 6)), jnp.zeros((3, 3, 6 // options.get("groups", 1), 6))
    lowered = jax.jit(convolution(**options)).lower(image, kernel)
    assert flops(convolution(**options), image.shape, kernel.shape) == lowered.cost_analysis()["flops"]


def test_of_what_depends_on_the_platform_the_default_counts() -> None:
    either = partial(jax.lax.platform_dependent, cpu=lambda x: jnp.tanh(jnp.tanh(x)), default=jnp.tanh)
    assert flops(either, (4, 5)) == 20


def test_elementwise_operations_and_reductions() -> None:
    assert flops(lambda x: jnp.tanh(x) + 1, (4, 5)) == 40
    assert flops(lambda x: x.sum(axis=0), (4, 5)) == 20
    assert flops(lambda x: x.max(), (4, 5)) == 20
    assert flops(lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID"), (4, 6)) == 6 * 4


def test_moving_choosing_and_whole_numbers_are_free() -> None:
    assert flops(lambda x: jnp.where(x > 0, x.T[::-1], jnp.pad(x, 1)[1:-1, 1:-1]), (4, 4)) == 0
    assert flops(lambda x: x.reshape(-1).astype(jnp.bfloat16), (4, 4)) == 0
    assert count_flops(jax.make_jaxpr(lambda i: i * i + 1)(jnp.arange(9))) == 0
    assert count_flops(jax.make_jaxpr(lambda seed: jax.random.bits(jax.random.key(seed), (9,)))(0)) == 0


def test_a_scan_of_28_steps_is_28_times_its_body() -> None:
    def body(state, x):
        return jnp.tanh(state @ jnp.ones((8, 8)) + x), None

    once = flops(lambda s, x: body(s, x)[0], (2, 8), (2, 8))
    assert once == 2 * 2 * 8 * 8 + 2 * 16
    assert flops(lambda s, xs: jax.lax.scan(body, s, xs)[0], (2, 8), (28, 2, 8)) == 28 * once
    assert flops(lambda s: jax.lax.fori_loop(0, 28, lambda i, s: body(s, 1.0)[0], s), (2, 8)) == 28 * once


def test_a_branch_is_its_dearest_and_a_while_one_turn() -> None:
    def branch(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x + 1, x)

    assert flops(branch, (4, 4)) == 2 * 4 * 4 * 4
    assert flops(lambda x: jax.lax.while_loop(lambda x: x[0] < 9, lambda x: x + 1, x), (4,)) == 4


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, lambda f: jax.jit(jax.checkpoint(jax.jit(f)))])
def test_calls_are_looked_into(wrap) -> None:
    assert flops(wrap(jnp.matmul), (3, 5), (5, 7)) == 2 * 3 * 5 * 7


def test_custom_derivatives_are_looked_into() -> None:
    @jax.custom_vjp
    def double(x):
        return x * 2

    double.defvjp(lambda x: (x * 2, None), lambda _, g: (g * 2,))
    assert flops(double, (5,)) == 5
    assert flops(jax.nn.relu, (5,)) == 5
    assert flops(lambda x: jax.vjp(double, x)[1](x)[0], (5,)) == 10


def test_a_dense_layer_learns_for_three_times_its_forward_pass() -> None:
    def loss(w1, w2, x):
        return ((x @ w1) @ w2).sum()

    forward = 2 * 16 * 32 * 32 + 2 * 16 * 32 * 32
    gradient = flops(jax.grad(loss, (0, 1, 2)), (32, 32), (32, 32), (16, 32))
    assert 3 * forward <= gradient <= 3.02 * forward


def test_a_batch_axis_multiplies() -> None:
    def network(x, k, w):
        return jnp.tanh(convolution()(x[None], k)).reshape(-1) @ w

    one = flops(network, (8, 8, 3), (3, 3, 3, 4), (144, 10))
    shared = flops(jax.vmap(network, (0, None, None)), (5, 8, 8, 3), (3, 3, 3, 4), (144, 10))
    own = flops(jax.vmap(network), (5, 8, 8, 3), (5, 3, 3, 3, 4), (5, 144, 10))
    assert shared == own == 5 * one


def test_every_device_of_a_shard_map_counts() -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("data",))
    rows = jax.sharding.PartitionSpec("data")
    split = jax.shard_map(lambda x: jnp.tanh(x), mesh=mesh, in_specs=rows, out_specs=rows)
    assert flops(split, (8, 3)) == 24


def test_lenet5_against_the_hand() -> None:
    experiment = tiny("configs/cnn/lenet5_digits.py", train__batch_size="1")
    model, image = experiment.model, jnp.zeros((1, 32, 32, 1))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
    products = 2 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10)
    biases = squashing = 28 * 28 * 6 + 10 * 10 * 16 + 120 + 84
    pooling = 28 * 28 * 6 + 10 * 10 * 16
    counted = count_flops(jax.make_jaxpr(lambda params, image: model.apply(params, image, train=False))(params, image))
    assert counted == products + biases + 10 + squashing + pooling
