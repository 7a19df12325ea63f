"""Residual blocks by hand, their shortcuts, and batch norm against PyTorch's."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.image_attention import SqueezeExcite
from dlvr_jax.layers.residual_block import BasicBlock, Bottleneck, batch_norm
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


@pytest.mark.compare
def test_batch_norm_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, scale, bias, weights = 3 + 2 * normal(0, 4, 5, 5, 6), normal(1, 6), normal(2, 6), normal(3, 4, 5, 5, 6)
    theirs = torch.nn.BatchNorm2d(6, eps=1e-5, momentum=0.1)
    theirs.weight.data, theirs.bias.data = torch.tensor(np.array(scale)), torch.tensor(np.array(bias))
    model, variables = batch_norm(True, jnp.float32)(), {"params": {"scale": scale, "bias": bias}}
    variables["batch_stats"] = {"mean": jnp.zeros(6), "var": jnp.ones(6)}

    def loss(x, params):
        y, after = model.apply({**variables, "params": params}, x, mutable=["batch_stats"])
        return (y * weights).sum(), (y, after["batch_stats"])

    (gradient, slopes), (y, after) = jax.grad(loss, (0, 1), has_aux=True)(x, variables["params"])
    torch_x = torch.tensor(np.array(x)).permute(0, 3, 1, 2).requires_grad_()
    torch_y = theirs(torch_x)
    (torch_y * torch.tensor(np.array(weights)).permute(0, 3, 1, 2)).sum().backward()
    f32 = dict(rtol=2e-5, atol=2e-5)  # means of 100 numbers of order 3, squared; gradients sum 100 of order 1
    np.testing.assert_allclose(y, torch_y.detach().permute(0, 2, 3, 1), **f32)
    np.testing.assert_allclose(gradient, torch_x.grad.permute(0, 2, 3, 1), **f32)
    np.testing.assert_allclose(slopes["scale"], theirs.weight.grad, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(slopes["bias"], theirs.bias.grad, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after["mean"], theirs.running_mean, **f32)
    # Flax averages the variance of the batch, PyTorch its estimate of the population's: n / (n - 1) times that.
    np.testing.assert_allclose(0.9 + (after["var"] - 0.9) * 100 / 99, theirs.running_var, **f32)
    evaluated = batch_norm(False, jnp.float32)().apply({**variables, "batch_stats": after}, x)
    theirs.running_var = torch.tensor(np.array(after["var"]))
    np.testing.assert_allclose(evaluated, theirs.eval()(torch_x).detach().permute(0, 2, 3, 1), **f32)
