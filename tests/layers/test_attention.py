"""Attention by hand, masks, caches, and PyTorch's module."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.layers.attention import (
    KeysValues,
    MultiHeadAttention,
    attend,
    attention_weights,
    causal_mask,
    causal_mean,
    empty_cache,
    padding_mask,
)
from dlvr_jax.layers.causal_blocks import causal_mean_by_blocks
from tests.initialised import uneven

F32 = dict(rtol=2e-6, atol=2e-6)  # sums of a few terms of order 1, in another order


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def test_attend_is_the_formula() -> None:
    q, k, v = (np.asarray(normal(i, 2, 3, 5, 4), np.float64) for i in range(3))
    mask = np.asarray(causal_mask(5, 5))
    scores = np.where(mask, q @ k.swapaxes(-1, -2) / np.sqrt(4), -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    found, ours = attend(*(jnp.asarray(x, jnp.float32) for x in (q, k, v)), causal_mask(5, 5))
    np.testing.assert_allclose(ours, weights, **F32)
    np.testing.assert_allclose(found, weights @ v, **F32)


def value_and_gradients(function, *x: jax.Array) -> list[jax.Array]:
    """Of each of two members of a population."""
    found = jax.jit(jax.vmap(lambda *x: jax.value_and_grad(lambda *x: jnp.sum(function(*x) ** 2), (0, 1, 2))(*x)))(*x)
    return [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(found)]


def test_the_causal_mean_is_that_of_the_mask() -> None:
    q, k, v = (normal(i, 2, 2, 3, 16, 8) for i in range(3))
    ours = value_and_gradients(lambda *x: causal_mean(*x, "xla"), q, k, v)
    theirs = value_and_gradients(lambda *x: attend(*x, causal_mask(16, 16))[0], q, k, v)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # other sums of 16 terms


@pytest.mark.parametrize("length", [1, 3, 16, 101])
def test_the_mean_by_blocks_is_that_of_the_mask(length: int) -> None:
    x = [normal(i, 2, 2, 3, length, 8) for i in range(3)]
    ours = value_and_gradients(causal_mean_by_blocks, *x)
    theirs = value_and_gradients(lambda *x: attend(*x, causal_mask(length, length))[0], *x)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # other sums of up to 101 terms


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="blocks are for CPUs")
def test_a_cpu_takes_blocks_where_they_pay() -> None:
    for length, dropout, by_blocks in ((96, None, True), (64, None, False), (96, 0.5, False)):
        x = [normal(i, 1, 1, length, 8) for i in range(3)]
        arguments = dict(causal=True, dropout=dropout, key=jax.random.key(0))
        program = jax.make_jaxpr(lambda *x, a=arguments: attend(*x, causal_mask(x[0].shape[2], x[0].shape[2]), **a))(*x)
        assert ("causal_mean_by_blocks" in str(program)) == by_blocks


@pytest.mark.parametrize("length", [5, 96])
def test_a_half_precise_mean_by_blocks_is_that_of_the_mask(length: int) -> None:
    x = [normal(i, 2, 1, 2, length, 8) for i in range(3)]
    half = [one.astype(jnp.bfloat16) for one in x]
    exact = value_and_gradients(lambda *x: attend(*x, causal_mask(length, length))[0], *x)
    found = value_and_gradients(lambda *x: causal_mean_by_blocks(*x).astype(jnp.float32), *half)
    for one, expected in zip(found, exact, strict=True):
        assert np.abs(one - expected).max() < 0.03 * np.abs(expected).max()  # bfloat16 has 8 bits


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN's kernels are for GPUs")
def test_the_kernel_of_a_gpu_computes_the_same() -> None:
    q, k, v = (normal(i, 2, 2, 3, 128, 64) for i in range(3))
    exact = value_and_gradients(lambda *x: attend(*x, causal_mask(128, 128))[0], q, k, v)
    half = [x.astype(jnp.bfloat16) for x in (q, k, v)]
    fused = value_and_gradients(lambda *x: attend(*x, causal_mask(128, 128), causal=True)[0].astype(jnp.float32), *half)
    for found, expected in zip(fused, exact, strict=True):
        assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()  # bfloat16 has 8 bits


@jax.jit
def masked_weights(scale, q: jax.Array, k: jax.Array) -> list[jax.Array]:
    length = q.shape[2]
    masks = (None, causal_mask(length, length), padding_mask(jnp.array([1 + length // 2]), length))
    return [attention_weights(scale * q, scale * k, mask) for mask in masks]


@given(seed=st.integers(0, 2**31 - 1), length=st.integers(1, 9), scale=st.sampled_from([0.0, 1.0, 1e3]))
@settings(deadline=None, max_examples=20)
def test_rows_sum_to_one(seed: int, length: int, scale: float) -> None:
    q, k = normal(seed, 1, 2, length, 4), normal(seed + 1, 1, 2, length, 4)
    for weights in jax.device_get(masked_weights(scale, q, k)):
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)  # sums of up to 9 rounded numbers
        assert (weights >= 0).all()


def test_hidden_keys_have_weight_zero_and_change_nothing() -> None:
    q, k, v = (normal(i, 2, 2, 6, 4) for i in range(3))
    mask = padding_mask(jnp.array([4, 0]), 6)
    found, weights = jax.jit(attend)(q, k, v, mask)
    assert (weights[0, ..., 4:] == 0).all()
    other, _ = jax.jit(attend)(q, k.at[0, :, 4:].set(9), v.at[0, :, 4:].set(-9), mask)
    np.testing.assert_array_equal(found, other)
    assert (weights[1] == 0).all() and (found[1] == 0).all()  # nothing to see


def test_a_row_that_sees_nothing_has_finite_gradients() -> None:
    q, k, v = (normal(i, 1, 1, 3, 4) for i in range(3))
    mask = padding_mask(jnp.array([0]), 3)
    gradients = jax.jit(jax.grad(lambda *x: attend(*x, mask)[0].sum(), argnums=(0, 1, 2)))(q, k, v)
    assert all(np.isfinite(g).all() for g in gradients)


def test_the_softmax_is_float32_for_bfloat16_inputs() -> None:
    q, k, v = (normal(i, 1, 1, 300, 8).astype(jnp.bfloat16) for i in range(3))
    found, weights = attend(0 * q, k, v)
    assert weights.dtype == jnp.float32 and found.dtype == jnp.bfloat16
    np.testing.assert_allclose(weights, 1 / 300, rtol=1e-6)  # bfloat16 would have given 0.00334


def test_dropout_zeroes_used_weights_under_vmap() -> None:
    q, k, v = (normal(i, 1, 1, 8, 4) for i in range(3))
    key = jax.random.key(0)
    rates = jnp.array([0.0, 0.5, 1.0])
    found, weights = jax.device_get(jax.jit(jax.vmap(lambda rate: attend(q, k, v, dropout=rate, key=key)))(rates))
    plain, kept = jax.jit(attend)(q, k, v)
    np.testing.assert_allclose(found[0], plain, **F32)
    assert not np.allclose(found[1], plain, atol=1e-2)
    assert (found[2] == 0).all()
    np.testing.assert_allclose(weights[1], kept, **F32)


def attention_of(width: int = 8, heads: int = 2, **fields):
    """The module, and parameters with biases that are not zero."""
    module = MultiHeadAttention(width, heads, **fields)
    x = normal(0, 2, 5, width)

    def whole(module: MultiHeadAttention, x: jax.Array) -> jax.Array:
        return module(x, module.keys_values(x), train=False)[0]

    return module, uneven(jax.jit(partial(module.init, method=whole))(jax.random.key(1), x), 0.1)


@pytest.mark.parametrize("rotary", [False, True])
def test_a_cache_gives_what_the_whole_gives(rotary: bool) -> None:
    module, params = attention_of(rotary=rotary)
    x = normal(3, 2, 6, 8)

    def whole(module: MultiHeadAttention) -> jax.Array:
        return module(x, module.keys_values(x), causal_mask(6, 6), train=False)[0]

    def in_parts(module: MultiHeadAttention) -> jax.Array:
        cache, found, start = empty_cache(2, 2, 9, 4, jnp.float32), [], 0
        for size in (3, 1, 2):
            part, places = x[:, start : start + size], start + jnp.arange(size)
            cache = cache.written(module.keys_values(part, places), start)
            found.append(module(part, cache, causal_mask(size, 9, start), positions=places, train=False)[0])
            start += size
        return jnp.concatenate(found, 1)

    parts, expected = (jax.jit(partial(module.apply, method=method))(params) for method in (in_parts, whole))
    np.testing.assert_allclose(parts, expected, **F32)


def test_weights_are_sown_for_pictures() -> None:
    module, params = attention_of()
    x = normal(3, 2, 6, 8)
    (_, weights), sown = module.apply(
        params, method=lambda m: m(x, m.keys_values(x), train=False), mutable=["intermediates"]
    )
    np.testing.assert_array_equal(sown["intermediates"]["attention"][0], weights)
    assert weights.shape == (2, 2, 6, 6)


def test_a_width_that_does_not_split_is_an_error() -> None:
    with pytest.raises(ValueError, match="a width of 8 does not split into 3 heads"):
        attention_of(8, 3)


@pytest.mark.compare
@pytest.mark.parametrize("kind", ["self", "causal", "padded", "cross"])
def test_it_is_pytorchs_module(kind: str) -> None:
    torch = pytest.importorskip("torch")
    module, params = attention_of(12, 3)
    x, other = normal(3, 2, 5, 12), normal(4, 2, 7, 12)
    seen = other if kind in ("cross", "padded") else x
    mask = {"causal": causal_mask(5, 5), "padded": padding_mask(jnp.array([7, 3]), 7)}.get(kind)
    cotangent = normal(5, 2, 5, 12)

    def ours(params, x, seen):
        return module.apply(params, method=lambda m: m(x, m.keys_values(seen), mask, train=False))

    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    layers = params["params"]
    with torch.no_grad():
        for name, stack in (("kernel", theirs.in_proj_weight), ("bias", theirs.in_proj_bias)):
            stack.copy_(
                torch.tensor(np.concatenate([np.asarray(layers[k][name]).T for k in ("query", "key", "value")]))
            )
        theirs.out_proj.weight.copy_(torch.tensor(np.asarray(layers["output"]["kernel"]).T))
        theirs.out_proj.bias.copy_(torch.tensor(np.asarray(layers["output"]["bias"])))
    tx, tseen = (torch.tensor(np.asarray(a), requires_grad=True) for a in (x, seen))
    masks = {
        "causal": dict(attn_mask=~torch.tensor(np.asarray(causal_mask(5, 5)[0, 0]))),
        "padded": dict(key_padding_mask=torch.arange(7) >= torch.tensor([[7], [3]])),
    }.get(kind, {})
    found, weights = theirs(tx, tseen, tseen, need_weights=True, average_attn_weights=False, **masks)
    mine, my_weights = ours(params, x, seen)
    np.testing.assert_allclose(mine, found.detach(), **F32)
    np.testing.assert_allclose(my_weights, weights.detach(), **F32)
    found.backward(torch.tensor(np.asarray(cotangent)))
    gradient = jax.grad(lambda p, a, b: (ours(p, a, b)[0] * cotangent).sum(), argnums=(0, 1, 2))(params, x, seen)
    rounding = dict(rtol=1e-5, atol=1e-5)  # float32, two more matrix products deep
    np.testing.assert_allclose(gradient[1], tx.grad, **rounding)
    np.testing.assert_allclose(gradient[2], tseen.grad, **rounding)
    stacked = np.concatenate([np.asarray(gradient[0]["params"][k]["kernel"]).T for k in ("query", "key", "value")])
    np.testing.assert_allclose(stacked, theirs.in_proj_weight.grad, **rounding)


def test_written_keeps_the_rest() -> None:
    cache = KeysValues(normal(0, 1, 1, 4, 2), normal(1, 1, 1, 4, 2))
    new = KeysValues(jnp.zeros((1, 1, 2, 2)), jnp.ones((1, 1, 2, 2)))
    after = cache.written(new, 1)
    np.testing.assert_array_equal(after.keys[0, 0, 1:3], 0)
    np.testing.assert_array_equal(after.values[0, 0, [0, 3]], cache.values[0, 0, [0, 3]])
