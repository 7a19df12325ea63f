"""Max-pooling against Flax's, which slides a window."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.pooling import max_pool


def sliding(x):
    return nn.max_pool(x, (2, 2), strides=(2, 2))


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 7, 5, 2), (3, 2, 2, 1)])
def test_values_and_gradients_are_those_of_a_sliding_window(shape) -> None:
    x = jax.random.normal(jax.random.key(0), shape)
    np.testing.assert_array_equal(max_pool(x), sliding(x))
    ours, theirs = (jax.grad(lambda x, pool=pool: jnp.sin(pool(x)).sum())(x) for pool in (max_pool, sliding))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # cosines of two programs, to f32 rounding


def test_equal_values_share_the_gradient() -> None:
    np.testing.assert_array_equal(
        jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 2, 2, 1))), jnp.full((1, 2, 2, 1), 0.25)
    )
