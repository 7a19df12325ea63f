"""Swish against its definition by SciPy, and Flax's where it is differentiated twice."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from dlvr_jax.layers.swish import swish

X = np.linspace(-30, 30, 600, dtype=np.float32).reshape(2, 5, 6, 10)


def test_values_and_slopes_are_those_of_the_definition() -> None:
    exact, gate = X.astype(np.float64), expit(X.astype(np.float64))
    # Float32: the exponential of up to 30 is good to some 1e-6.
    np.testing.assert_allclose(jax.jit(swish)(X), exact * gate, rtol=1e-5, atol=1e-7)
    slopes = jax.jit(jax.grad(lambda x: swish(x).sum()))(X)
    # Of them, where they pass through 0, the rounding of terms of order 1.
    np.testing.assert_allclose(slopes, gate * (1 + exact * (1 - gate)), rtol=1e-5, atol=1e-6)


def test_it_can_be_differentiated_twice() -> None:
    def penalty(function, x: jax.Array) -> jax.Array:
        return jnp.square(jax.grad(lambda x: jnp.sin(function(x)).sum())(x)).sum()

    x = X / 10
    found, expected = (jax.jit(jax.grad(lambda x, f=f: penalty(f, x)))(x) for f in (swish, nn.swish))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # float32, of terms of order 1


def test_bfloat16_stays_bfloat16() -> None:
    x = jnp.asarray(X, jnp.bfloat16)
    value, pullback = jax.vjp(swish, x)
    assert value.dtype == pullback(value)[0].dtype == jnp.bfloat16
    np.testing.assert_array_equal(value, nn.swish(x))
