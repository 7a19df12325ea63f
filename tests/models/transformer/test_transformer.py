"""The encoder-decoder: counts, PyTorch's numbers, causality, padding, and decoding step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.models.transformer.transformer import Transformer
from tests.layers.test_transformer_block import copy_into

ROUNDING = dict(rtol=2e-5, atol=2e-5)  # float32, four blocks deep, logits of order 1
SOURCE, TARGET = 7, 6
LENGTHS = jnp.array([7, 4])
PROGRAMS: dict[bool, tuple] = {}


def tokens_of(seed: int = 0) -> tuple[jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(seed))
    return jax.random.randint(keys[0], (2, SOURCE), 1, 11), jax.random.randint(keys[1], (2, TARGET), 1, 9)


def compiled(norm_first: bool = False):
    """Model, parameters none of which are zero or one, and the compiled model, made once."""
    if norm_first not in PROGRAMS:
        model = Transformer(11, 9, width=16, layers=2, num_heads=4, norm_first=norm_first)
        source, target = tokens_of()
        params = jax.jit(lambda: model.init(jax.random.key(0), source, LENGTHS, target, train=False))()
        keys = iter(jax.random.split(jax.random.key(1), 200))
        params = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(next(keys), leaf.shape), params)
        apply = jax.jit(lambda p, source, target: model.apply(p, source, LENGTHS, target, train=False))
        PROGRAMS[norm_first] = model, params, apply
    return PROGRAMS[norm_first]


def test_the_base_model_has_the_parameters_of_the_paper() -> None:
    model = Transformer(1000, 2000, width=512, layers=6, num_heads=8, hidden=2048)
    source, target = tokens_of()
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), source, LENGTHS, target, train=False))
    # torch.nn.Transformer(), which has a norm more at the end of each stack, has 44,140,544.
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 44_140_544 - 2 * 2 * 512 + 3000 * 512


@pytest.mark.parametrize("norm_first", [False, True])
def test_step_by_step_is_all_at_once(norm_first: bool) -> None:
    model, params, apply = compiled(norm_first)
    source, target = tokens_of()
    logits, weights = apply(params, source, target)

    def run():
        memory = model.apply(params, source, LENGTHS, train=False, method="encode")
        cache = model.apply(params, memory, TARGET, method="first_cache")

        def one(cache, token):
            logits, weights, cache = model.apply(params, token, cache, memory, train=False, method="step")
            return cache, (logits, weights)

        return jax.lax.scan(one, cache, target.T)[1]

    each, looks = jax.jit(run)()
    np.testing.assert_allclose(each.swapaxes(0, 1), logits, **ROUNDING)
    np.testing.assert_allclose(looks.swapaxes(0, 1), weights, **ROUNDING)


def test_every_leaf_of_memory_and_cache_has_rows_or_is_a_position() -> None:
    model, params, _ = compiled()
    source, _ = tokens_of()
    memory = jax.eval_shape(lambda: model.apply(params, source, LENGTHS, train=False, method="encode"))
    cache = jax.eval_shape(lambda m: model.apply(params, m, TARGET, method="first_cache"), memory)
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(memory))
    assert all(leaf.ndim == 0 or leaf.shape[0] == 2 for leaf in jax.tree.leaves(cache))


def test_weights_sum_to_one_over_the_real_source() -> None:
    _, params, apply = compiled()
    _, weights = apply(params, *tokens_of())
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)  # sums of 7 rounded numbers
    assert (weights[1, :, 4:] == 0).all() and (weights[0] > 0).sum() > TARGET


@given(cut=st.integers(1, TARGET - 1), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=15)
def test_the_past_does_not_see_the_future(cut: int, seed: int) -> None:
    _, params, apply = compiled()
    source, target = tokens_of(seed)
    other = target.at[:, cut:].set(tokens_of(seed ^ 1)[1][:, cut:])
    for ours, theirs in zip(apply(params, source, target), apply(params, source, other), strict=True):
        np.testing.assert_array_equal(ours[:, :cut], theirs[:, :cut])


@given(seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=15)
def test_padding_changes_nothing(seed: int) -> None:
    _, params, apply = compiled()
    source, target = tokens_of(seed)
    other = source.at[1, 4:].set(tokens_of(seed ^ 1)[0][1, 4:])
    for ours, theirs in zip(apply(params, source, target), apply(params, other, target), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bfloat16_arithmetic_keeps_float32_parameters_and_logits() -> None:
    model, params, apply = compiled()
    source, target = tokens_of()
    small = model.clone(dtype=jnp.bfloat16)
    logits, weights = jax.jit(lambda: small.apply(params, source, LENGTHS, target, train=False))()
    assert logits.dtype == weights.dtype == jnp.float32
    exact, _ = apply(params, source, target)
    # bfloat16 keeps 8 bits: 0.4 % a rounding, some dozens of them.
    np.testing.assert_allclose(logits, exact, atol=0.05 * float(jnp.abs(exact).max()))


def test_dropout_takes_traced_rates_under_vmap() -> None:
    model, params, _ = compiled()
    model = model.clone(layers=1)  # there is no need for the others
    source, target = tokens_of()

    def logits(rate, attention_rate):
        rates = dict(dropout=rate, attention_dropout=attention_rate)
        return model.apply(params, source, LENGTHS, target, train=True, **rates, rngs={"dropout": jax.random.key(0)})[0]

    found = jax.jit(jax.vmap(logits))(jnp.array([0.0, 0.5, 0.0]), jnp.array([0.0, 0.0, 0.5]))
    plain, _ = jax.jit(lambda: model.apply(params, source, LENGTHS, target, train=False))()
    np.testing.assert_allclose(found[0], plain, **ROUNDING)
    assert not np.allclose(found[1], plain, atol=1e-2) and not np.allclose(found[2], plain, atol=1e-2)


@pytest.mark.compare
@pytest.mark.parametrize("norm_first", [False, True])
def test_logits_are_those_of_pytorch(norm_first: bool) -> None:
    torch = pytest.importorskip("torch")
    _, params, apply = compiled(norm_first)
    own = params["params"]
    source, target = tokens_of()
    layer = dict(d_model=16, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True, norm_first=norm_first)
    encoder = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(**layer), 2, torch.nn.LayerNorm(16), enable_nested_tensor=False
    )
    theirs = torch.nn.Transformer(16, 4, 2, 2, 64, 0.0, custom_encoder=encoder, batch_first=True, norm_first=norm_first)
    for stack, name in ((theirs.encoder, "encoder"), (theirs.decoder, "decoder")):
        for number, layer in enumerate(stack.layers):
            copy_into(layer, own[f"{name}_{number}"])
        if norm_first:
            with torch.no_grad():
                stack.norm.weight.copy_(torch.tensor(np.asarray(own[f"{name}_norm"]["scale"])))
                stack.norm.bias.copy_(torch.tensor(np.asarray(own[f"{name}_norm"]["bias"])))
        else:
            stack.norm = None  # PyTorch's, not the paper's

    def embedded(tokens, name: str):
        angles = np.arange(tokens.shape[1])[:, None] / 10_000 ** (np.arange(0, 16, 2) / 16)
        places = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(tokens.shape[1], 16)
        return torch.tensor(np.asarray(own[name]["embedding"])[tokens] * 4 + places, dtype=torch.float32)

    padding = torch.arange(SOURCE) >= torch.tensor(np.asarray(LENGTHS))[:, None]
    found = theirs(
        embedded(np.asarray(source), "source_token"),
        embedded(np.asarray(target), "target_token"),
        tgt_mask=torch.triu(torch.ones(TARGET, TARGET, dtype=torch.bool), 1),
        src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )
    expected = found.detach().numpy() @ np.asarray(own["target_token"]["embedding"]).T
    np.testing.assert_allclose(apply(params, source, target)[0], expected, **ROUNDING)
