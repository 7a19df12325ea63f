"""Pooling against Flax's, which slides a window, against PyTorch's definitions by hand, and in distribution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.pooling import Pool, max_pool


def sliding(x):
    return nn.max_pool(x, (2, 2), strides=(2, 2))


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 7, 5, 2), (3, 2, 2, 1)])
def test_values_and_gradients_are_those_of_a_sliding_window(shape) -> None:
    x = jax.random.normal(jax.random.key(0), shape)
    np.testing.assert_array_equal(max_pool(x), sliding(x))
    ours, theirs = (jax.jit(jax.grad(lambda x, pool=pool: jnp.sin(pool(x)).sum()))(x) for pool in (max_pool, sliding))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # cosines of two programs, to f32 rounding


def test_equal_values_share_the_gradient() -> None:
    np.testing.assert_array_equal(
        jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 2, 2, 1))), jnp.full((1, 2, 2, 1), 0.25)
    )


def pooled(kind: str, x, train: bool = False, seed: int = 0):
    pool = Pool(kind)
    variables = pool.init({"params": jax.random.key(1), "dropout": jax.random.key(0)}, x, train=train)
    return pool.apply(variables, x, train=train, rngs={"dropout": jax.random.key(seed)}), variables


def test_lp_lies_between_the_mean_and_the_maximum() -> None:
    x = jnp.array([1.0, 2, 3, 4]).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(pooled("lp", x)[0].item(), ((1 + 16 + 81 + 256) / 4) ** 0.25, rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: pooled("lp", x)[0].sum())(jnp.zeros((1, 2, 2, 1)))).all()


def test_average_is_that_of_a_sliding_window_and_mixed_begins_half_way_to_the_maximum() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 3))
    mean = nn.avg_pool(x[:, :6], (2, 2), strides=(2, 2))
    np.testing.assert_allclose(pooled("average", x)[0], mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(pooled("mixed", x)[0], (mean + max_pool(x)) / 2, rtol=1e-6, atol=1e-7)


def test_stochastic_draws_in_proportion_to_size_and_expects_the_weighted_mean() -> None:
    x = jnp.array([0.0, 1, 2, 5]).reshape(1, 2, 2, 1)
    draw = jax.jit(jax.vmap(lambda seed: pooled("stochastic", x, train=True, seed=seed)[0].squeeze()))
    draws = np.asarray(draw(np.arange(400)))
    assert set(draws.tolist()) == {1.0, 2.0, 5.0}
    np.testing.assert_allclose([(draws == value).mean() for value in (1, 2, 5)], np.array([1, 2, 5]) / 8, atol=0.1)
    np.testing.assert_allclose(pooled("stochastic", x)[0].item(), 30 / 8, rtol=1e-5)
    assert np.isfinite(pooled("stochastic", jnp.zeros((1, 2, 2, 1)))[0]).all()


def test_strided_is_a_matrix_product_of_each_window() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
    found, variables = pooled("strided", x)
    kernel = variables["params"]["conv"]["kernel"]
    windows = np.asarray(x).reshape(1, 2, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5)
    np.testing.assert_allclose(found, np.einsum("brcijk,ijko->brco", windows, kernel), rtol=1e-5, atol=1e-6)
