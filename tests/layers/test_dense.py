"""Products over the last axis, against Flax's, alone and for the members of a population."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.dense import Dense, product

F32 = dict(rtol=1e-5, atol=1e-5)  # sums of up to 24 terms of order 1, in another order


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 3, 2, 4)])
def test_values_and_gradients_are_those_of_flax(shape: tuple[int, ...]) -> None:
    x = jax.random.normal(jax.random.key(0), shape)
    params = Dense(5).init(jax.random.key(1), x)

    def loss(layer: nn.Module, params: dict, x: jax.Array) -> jax.Array:
        return jnp.sin(layer.apply(params, x)).sum()

    found, expected = (jax.value_and_grad(loss, argnums=(1, 2))(layer, params, x) for layer in (Dense(5), nn.Dense(5)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), found, expected)


def test_members_have_products_and_gradients_of_their_own() -> None:
    x, kernel = (jax.random.normal(jax.random.key(n), s) for n, s in enumerate([(3, 2, 6, 4), (3, 4, 5)]))

    def loss(multiply, x, kernel) -> jax.Array:
        return jnp.sin(multiply(x, kernel)).sum()

    found, expected = (
        jax.value_and_grad(partial(loss, multiply), (0, 1))(x, kernel)
        for multiply in (jax.vmap(product), partial(jnp.einsum, "mbti,mio->mbto"))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), found, expected)


def test_another_product_is_refused() -> None:
    with pytest.raises(ValueError, match="only the last axis of x"):
        product(jnp.ones((2, 3, 3)), jnp.ones((3, 3)), (((1,), (1,)), ((), ())))


def test_bfloat16_may_give_float32() -> None:
    x, kernel = jnp.ones((2, 3, 4), jnp.bfloat16), jnp.ones((4, 5), jnp.bfloat16)
    assert product(x, kernel).dtype == jnp.bfloat16
    assert product(x, kernel, preferred_element_type=jnp.float32).dtype == jnp.float32


def test_the_gradient_by_the_kernel_copies_nothing_across_its_rows() -> None:
    """What makes it slow on a CPU is a transposed copy of dy, of two axes of rows."""
    if jax.default_backend() != "cpu":
        pytest.skip("of CPU programs")
    x, kernel, dy = jnp.ones((8, 16, 32)), jnp.ones((32, 64)), jnp.ones((8, 16, 64))

    gradient = jax.jit(jax.grad(lambda k: (product(x, k) * dy).sum()))
    assert "f32[64,128]" not in gradient.lower(kernel).compile().as_text()
