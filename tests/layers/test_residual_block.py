"""Residual blocks by hand, their shortcuts, and batch norm against PyTorch's."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.image_attention import SqueezeExcite
from dlvr_jax.layers.residual_block import BasicBlock, Bottleneck
from tests.initialised import initialised

BLOCKS = (BasicBlock, Bottleneck)


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_that_starts_as_its_shortcut_is_it(block, stride: int) -> None:
    x = normal(0, 2, 6, 6, 8)
    model = block(8, stride, "identity", zero_init=True)
    y = model.apply(initialised(model, x, seed=1), x, train=False)
    np.testing.assert_array_equal(y, nn.relu(x[:, ::stride, ::stride]))


def test_the_identity_fills_new_maps_with_zeros() -> None:
    x = normal(0, 2, 7, 7, 3)
    model = BasicBlock(5, 2, "identity", zero_init=True)
    y = model.apply(initialised(model, x, seed=1), x, train=False)
    np.testing.assert_array_equal(y[..., :3], nn.relu(x[:, ::2, ::2]))
    assert (y[..., 3:] == 0).all() and y.shape == (2, 4, 4, 5)


@pytest.mark.parametrize("block", BLOCKS)
def test_only_a_projection_has_parameters(block) -> None:
    x, names = normal(0, 2, 6, 6, 8), {}
    for shortcut in ("identity", "projection"):
        for features in (8, 16):
            model = block(features, shortcut=shortcut)
            params = jax.eval_shape(lambda m=model: m.init(jax.random.key(1), x, train=False))["params"]
            names[shortcut, features] = {name for name in params if name.startswith("shortcut")}
    assert names.pop(("projection", 16)) == {"shortcut", "shortcut_norm"}
    assert set(map(len, names.values())) == {0}


@pytest.mark.parametrize("block", BLOCKS)
def test_attention_acts_before_the_sum(block) -> None:
    x = normal(0, 2, 6, 6, 8)
    plain = block(8, zero_init=False)
    variables = initialised(plain, x, seed=1)

    class Half(nn.Module):
        @nn.compact
        def __call__(self, y):
            return y * self.param("half", lambda key: jnp.float32(0.5))

    halved = block(8, zero_init=False, attention=Half)
    both = {**variables, "params": variables["params"] | {"attention": {"half": jnp.float32(0.5)}}}
    last = f"norm{3 if block is Bottleneck else 2}"
    scaled = jax.tree.map(lambda leaf: leaf, variables)
    scaled["params"][last] = jax.tree.map(lambda leaf: leaf / 2, variables["params"][last])
    np.testing.assert_array_equal(halved.apply(both, x, train=False), plain.apply(scaled, x, train=False))


@pytest.mark.parametrize("block", BLOCKS)
def test_every_parameter_gets_a_gradient(block) -> None:
    x = normal(0, 4, 6, 6, 8)
    model = block(12, 2, zero_init=False, attention=partial(SqueezeExcite, 4))
    variables = jax.jit(lambda: model.init(jax.random.key(1), x, train=False))()

    def loss(params):
        return jnp.sin(model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])[0]).sum()

    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(variables["params"])))
