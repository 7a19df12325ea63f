"""Group norm: its definition, PyTorch's, and its gradient."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.group_norm import GroupNorm

X = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 5, 4, 6))
SCALE = jax.random.normal(jax.random.key(1), (6,))
BIAS = jax.random.normal(jax.random.key(2), (6,))
# Sums of 40 numbers of order 10 in f32, and the difference of two of them: 1e-6 relative.
CLOSE = dict(rtol=1e-5, atol=1e-5)


def normed(x, groups: int, **fields):
    return GroupNorm(groups, **fields).apply({"params": {"scale": SCALE, "bias": BIAS}}, x)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_each_group_has_mean_zero_and_variance_one(groups: int) -> None:
    y = np.asarray(GroupNorm(groups, epsilon=0.0).init_with_output(jax.random.key(0), X)[0], np.float64)
    parts = y.reshape(2, -1, groups, 6 // groups)
    np.testing.assert_allclose(parts.mean((1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(parts.var((1, 3)), 1, rtol=1e-5)


def test_values_far_from_zero_keep_their_variance() -> None:
    """Mean square less squared mean would be a difference of two numbers of 10^8, known in f32 to about 10."""
    far = jnp.round(64 * X) / 64  # so that 10^4 can be added without rounding
    np.testing.assert_allclose(normed(far + 1e4, 2), normed(far, 2), rtol=1e-2, atol=1e-2)


@pytest.mark.compare
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_values_and_gradients_are_those_of_torch(groups: int) -> None:
    torch = pytest.importorskip("torch")
    weight = jax.random.normal(jax.random.key(3), X.shape)
    y, gradient = jax.value_and_grad(lambda x: (weight * normed(x, groups)).sum())(X)
    x = torch.tensor(np.asarray(X).transpose(0, 3, 1, 2), requires_grad=True)
    scale, bias = torch.tensor(np.asarray(SCALE)), torch.tensor(np.asarray(BIAS))
    other = torch.nn.functional.group_norm(x, groups, scale, bias, eps=1e-5)
    np.testing.assert_allclose(normed(X, groups), other.detach().numpy().transpose(0, 2, 3, 1), **CLOSE)
    (torch.tensor(np.asarray(weight).transpose(0, 3, 1, 2)) * other).sum().backward()
    np.testing.assert_allclose(gradient, x.grad.numpy().transpose(0, 2, 3, 1), **CLOSE)
    assert np.isfinite(y)


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_values_and_all_gradients_are_those_of_flax(groups: int) -> None:
    params = {"scale": SCALE, "bias": BIAS}

    def both(module: nn.Module):
        y, back = jax.vjp(lambda params, x: module.apply({"params": params}, x), params, X)
        return y, back(jnp.sin(y))

    found, other = both(GroupNorm(groups)), both(nn.GroupNorm(groups, epsilon=1e-5))
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, **CLOSE), found, other)


def test_the_second_order_and_members_of_a_population_are_those_of_flax() -> None:
    def penalty(module: nn.Module, scale):
        def size(x):
            return (module.apply({"params": {"scale": scale, "bias": BIAS}}, x) ** 2).sum()

        return (jax.grad(size)(X) ** 2).sum()

    scales = jnp.stack([SCALE, -2 * SCALE])
    found, other = (
        jax.vmap(jax.grad(partial(penalty, module)))(scales) for module in (GroupNorm(3), nn.GroupNorm(3, epsilon=1e-5))
    )
    np.testing.assert_allclose(found, other, rtol=1e-4, atol=1e-2)  # sums of order 1000


def test_a_constant_image_stays_finite() -> None:
    gradient = jax.grad(lambda x: (normed(x, 2) ** 2).sum())(jnp.full((1, 3, 3, 6), 1e3))
    assert np.isfinite(gradient).all()


def test_bfloat16_in_and_out_keeps_parameters_float32() -> None:
    module = GroupNorm(2, dtype=jnp.bfloat16)
    y, variables = module.init_with_output(jax.random.key(0), X.astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_maps_that_do_not_split_are_refused() -> None:
    with pytest.raises(ValueError, match="6 maps do not split into 4 groups"):
        normed(X, 4)
