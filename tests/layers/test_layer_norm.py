"""Layer norm against Flax's and PyTorch's, in values and gradients; its statistics in bfloat16."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.layer_norm import LayerNorm


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def test_values_and_gradients_of_both_orders_are_those_of_flax() -> None:
    x, params = normal(0, 2, 5, 16), {"params": {"scale": normal(1, 16), "bias": normal(2, 16)}}

    def penalty(norm: nn.Module, params: dict, x: jax.Array) -> jax.Array:
        gradient = jax.grad(lambda x: jnp.sin(norm.apply(params, x)).sum())(x)
        return jnp.square(gradient).sum()

    ours, theirs = LayerNorm(1e-5), nn.LayerNorm(1e-5, use_fast_variance=False)
    np.testing.assert_allclose(ours.apply(params, x), theirs.apply(params, x), rtol=1e-5, atol=1e-6)
    found, expected = (jax.grad(penalty, argnums=(1, 2))(norm, params, x) for norm in (ours, theirs))
    # Float32: sums of some ten terms of order 10.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


@pytest.mark.compare
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_layer_norm_is_pytorchs(offset: float) -> None:
    torch = pytest.importorskip("torch")
    x, scale, bias, cotangent = offset + normal(0, 3, 5, 16), normal(1, 16), normal(2, 16), normal(3, 3, 5, 16)
    params = {"params": {"scale": scale, "bias": bias}}
    norm = LayerNorm(1e-5)
    tx, tscale, tbias = (torch.tensor(np.asarray(a), requires_grad=True) for a in (x, scale, bias))
    theirs = torch.nn.functional.layer_norm(tx, (16,), tscale, tbias, 1e-5)
    theirs.backward(torch.tensor(np.asarray(cotangent)))
    # At an offset of 1000 float32 keeps 6e-5 of a deviation of order 1.
    rounding = dict(rtol=1e-5, atol=2e-6 if offset == 0 else 1e-3)
    np.testing.assert_allclose(norm.apply(params, x), theirs.detach(), **rounding)
    gradient = jax.grad(lambda p, x: (norm.apply(p, x) * cotangent).sum(), argnums=(0, 1))(params, x)
    np.testing.assert_allclose(gradient[1], tx.grad, **rounding)
    np.testing.assert_allclose(gradient[0]["params"]["scale"], tscale.grad, **{**rounding, "rtol": 1e-4})
    np.testing.assert_allclose(gradient[0]["params"]["bias"], tbias.grad, rtol=1e-5, atol=1e-5)


def test_layer_norm_of_bfloat16_has_float32_statistics() -> None:
    x = (100 + normal(0, 2, 512)).astype(jnp.bfloat16)
    found = LayerNorm(1e-5, jnp.bfloat16).apply({"params": {"scale": jnp.ones(512), "bias": jnp.zeros(512)}}, x)
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float64)
    exact = (exact - exact.mean(-1, keepdims=True)) / exact.std(-1, keepdims=True)
    np.testing.assert_allclose(np.asarray(found, np.float64), exact, atol=0.02)  # bfloat16 near 3 is good to 0.008
