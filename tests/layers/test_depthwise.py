"""Depthwise convolution against XLA's grouped one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.depthwise import DepthwiseConv, depthwise

F32 = dict(rtol=1e-5, atol=1e-5)  # sums of up to 25 terms of order 1, in another order


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def grouped(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    border = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        [(border, border)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@pytest.mark.parametrize(
    ("size", "stride", "shape"), [(1, 2, (6, 6)), (3, 1, (1, 2)), (3, 2, (6, 6)), (3, 2, (7, 5)), (5, 3, (7, 6))]
)
def test_it_is_a_grouped_convolution(size: int, stride: int, shape: tuple[int, int]) -> None:
    x, kernel = normal(0, 2, *shape, 4), normal(1, size, size, 4)
    expected = grouped(x, kernel, stride)
    np.testing.assert_allclose(jax.jit(depthwise, static_argnums=2)(x, kernel, stride), expected, **F32)
    weights = normal(2, *expected.shape)
    ours, theirs = (
        jax.jit(jax.grad(lambda x, kernel, f=f: (f(x, kernel, stride) * weights).sum(), (0, 1)))(x, kernel)
        for f in (depthwise, grouped)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), ours, theirs)


def test_the_layer_adds_in_float32_and_gives_its_dtype() -> None:
    x = normal(0, 2, 6, 6, 4)
    model = DepthwiseConv(5, dtype=jnp.bfloat16)
    variables = model.init(jax.random.key(1), x)
    assert variables["params"]["kernel"].dtype == jnp.float32
    y = model.apply(variables, x)
    rounded = depthwise(x.astype(jnp.bfloat16).astype(jnp.float32), variables["params"]["kernel"])
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), rounded, rtol=2**-8)  # of the one rounding at the end


def test_kernels_start_with_the_variance_that_relu_asks_for() -> None:
    kernel = DepthwiseConv(5).init(jax.random.key(0), jnp.zeros((1, 6, 6, 4000)))["params"]["kernel"]
    np.testing.assert_allclose(kernel.std() ** 2, 2 / 25, rtol=0.02)  # 100,000 numbers: half a percent
