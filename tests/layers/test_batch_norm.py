"""Batch norm against Flax's and PyTorch's: values, gradients, moving averages."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.batch_norm import BatchNorm


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("shape", [(8, 6), (4, 5, 5, 6)])
def test_training_and_evaluation_are_those_of_flax(shape: tuple[int, ...]) -> None:
    x, variables = 3 + 2 * normal(0, *shape), BatchNorm(False).init(jax.random.key(1), jnp.ones(shape))
    params = {"scale": normal(2, 6), "bias": normal(3, 6)}

    def loss(norm: nn.Module, params: dict, x: jax.Array) -> tuple[jax.Array, dict]:
        y, after = norm.apply({**variables, "params": params}, x, mutable=["batch_stats"])
        return jnp.sin(y).sum(), after

    norms = BatchNorm(False, momentum=0.8), nn.BatchNorm(False, momentum=0.8)
    found = [jax.value_and_grad(loss, (1, 2), has_aux=True)(norm, params, x) for norm in norms]
    # Float32: a variance is the difference of two numbers of order 10, a gradient a sum of up to 100 of order 1.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *found)
    after = {"params": params, **found[0][0][1]}
    evaluated = [norm.clone(use_running_average=True).apply(after, x) for norm in norms]
    np.testing.assert_allclose(*evaluated, rtol=1e-5, atol=1e-5)


def test_making_its_variables_moves_no_average() -> None:
    variables = BatchNorm(False).init(jax.random.key(0), 3 + normal(0, 8, 6))
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
    np.testing.assert_array_equal(variables["batch_stats"]["var"], 1)


def test_bfloat16_has_float32_statistics() -> None:
    x = (100 + normal(0, 512, 2)).astype(jnp.bfloat16)
    norm = BatchNorm(False, dtype=jnp.bfloat16)
    y, after = norm.apply(norm.init(jax.random.key(0), x), x, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(after["batch_stats"]["mean"], 0.1 * exact.mean(0), rtol=1e-5)
    np.testing.assert_allclose(after["batch_stats"]["var"], 0.9 + 0.1 * exact.var(0), rtol=1e-2)  # 1 of 10,000
    np.testing.assert_allclose(np.asarray(y, np.float64), (exact - exact.mean(0)) / exact.std(0), atol=0.03)


@pytest.mark.compare
def test_batch_norm_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, scale, bias, weights = 3 + 2 * normal(0, 4, 5, 5, 6), normal(1, 6), normal(2, 6), normal(3, 4, 5, 5, 6)
    theirs = torch.nn.BatchNorm2d(6, eps=1e-5, momentum=0.1)
    theirs.weight.data, theirs.bias.data = torch.tensor(np.array(scale)), torch.tensor(np.array(bias))
    model, variables = BatchNorm(False), {"params": {"scale": scale, "bias": bias}}
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
    # Ours averages the variance of the batch, PyTorch its estimate of the population's: n / (n - 1) times that.
    np.testing.assert_allclose(0.9 + (after["var"] - 0.9) * 100 / 99, theirs.running_var, **f32)
    evaluated = BatchNorm(True).apply({**variables, "batch_stats": after}, x)
    theirs.running_var = torch.tensor(np.array(after["var"]))
    np.testing.assert_allclose(evaluated, theirs.eval()(torch_x).detach().permute(0, 2, 3, 1), **f32)
