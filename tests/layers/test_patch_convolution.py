"""A convolution by patches against XLA's own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from dlvr_jax.layers.patch_convolution import convolution_by_patches

FLAX = ("NHWC", "HWIO", "NHWC")
one_pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


def value_and_gradients(convolve, inputs: jax.Array, kernel: jax.Array):
    def of_value(inputs, kernel):
        value = convolve(inputs, kernel)
        return jnp.sin(value).sum(), value

    (_, value), gradients = jax.jit(jax.value_and_grad(of_value, (0, 1), has_aux=True))(inputs, kernel)
    return value, gradients


@settings(deadline=None, max_examples=25)
@given(
    sides=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    window=one_pair,
    strides=one_pair,
    padding=st.sampled_from(["SAME", "VALID", ((1, 0), (2, 3))]),
)
def test_values_and_gradients_are_those_of_xla(sides, window, strides, padding) -> None:
    numbers = np.random.default_rng(0)
    inputs = jnp.asarray(numbers.normal(size=(2, *sides, 3)), jnp.float32)
    kernel = jnp.asarray(numbers.normal(size=(*window, 3, 4)), jnp.float32)
    native = partial(lax.conv_general_dilated, dimension_numbers=FLAX)
    (found, gradients), (expected, theirs) = (
        value_and_gradients(partial(way, window_strides=strides, padding=padding), inputs, kernel)
        for way in (convolution_by_patches, native)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)  # sums of up to 27 f32 products
    for a, b in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)  # of up to some hundred


def test_dilations_and_groups_are_refused() -> None:
    inputs, kernel = jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 2))
    for wrong in (dict(rhs_dilation=(2, 2)), dict(lhs_dilation=(2, 1)), dict(feature_group_count=2)):
        with pytest.raises(ValueError, match="neither dilations nor groups"):
            convolution_by_patches(inputs, kernel, (1, 1), "SAME", **wrong)
