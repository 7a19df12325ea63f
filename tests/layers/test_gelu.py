"""GELU against its definition, by SciPy's normal distribution."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from dlvr_jax.layers.gelu import gelu

X = np.linspace(-8, 8, 161, dtype=np.float32)


def test_values_and_slopes_are_those_of_the_definition() -> None:
    exact = X.astype(np.float64)
    # Float32 keeps 6e-8 of P(X <= x), times x.
    np.testing.assert_allclose(gelu(jnp.asarray(X)), exact * norm.cdf(exact), rtol=1e-6, atol=5e-7)
    slopes = jax.vmap(jax.grad(gelu))(jnp.asarray(X))
    np.testing.assert_allclose(slopes, norm.cdf(exact) + exact * norm.pdf(exact), rtol=1e-6, atol=1e-6)


def test_in_bfloat16_it_is_rounded_once() -> None:
    x = jnp.asarray(X, jnp.bfloat16)
    exact = np.asarray(x, np.float64)
    found = gelu(x)
    assert found.dtype == jnp.bfloat16
    # Half of the last of 8 binary digits; float32 keeps 6e-8 of P(X <= x), times x.
    np.testing.assert_allclose(np.asarray(found, np.float64), exact * norm.cdf(exact), rtol=2.0**-8, atol=5e-7)
