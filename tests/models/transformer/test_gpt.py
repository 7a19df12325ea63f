"""GPT: the published count, the library transformers' numbers, causality, the cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.layers import attention
from dlvr_jax.models.transformer.gpt import GPT
from tests.initialised import initialised

SMALL = GPT(11, context=12, width=16, layers=2, num_heads=4)
POSITIONS = ("learned", "sinusoidal", "rotary", "none")
ROUNDING = dict(rtol=1e-5, atol=1e-5)  # float32, two blocks deep, logits of order 1


def tokens_of(seed: int = 0, batch: int = 2, length: int = 12) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(0, 11, (batch, length)))


def params_of(model: GPT, scale: float = 0.1):
    """Parameters none of which are zero or one."""
    params, random = jax.device_get(initialised(model, tokens_of())), np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + scale * random.standard_normal(leaf.shape, np.float32), params)


@pytest.mark.parametrize(
    ("layers", "width", "heads", "count"),
    [(12, 768, 12, 124_439_808), (24, 1024, 16, 354_823_168), (36, 1280, 20, 774_030_080)],
)
def test_it_has_the_published_number_of_parameters(layers: int, width: int, heads: int, count: int) -> None:
    model = GPT(50_257, context=1024, width=width, layers=layers, num_heads=heads)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens_of(), train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@given(cut=st.integers(1, 11), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=15)
@pytest.mark.parametrize("positions", POSITIONS)
def test_the_past_does_not_see_the_future(positions: str, cut: int, seed: int) -> None:
    _, params, apply = compiled(positions)
    tokens = tokens_of(seed)
    other = np.where(np.arange(12) < cut, tokens, tokens_of(seed ^ 1))
    moved = (tokens + (np.arange(12) == cut - 1)) % 11
    found, of_other, of_moved = (np.asarray(apply(params, given)) for given in (tokens, other, moved))
    np.testing.assert_array_equal(found[:, :cut], of_other[:, :cut])
    assert not np.array_equal(found[:, cut:], of_moved[:, cut:])


def test_by_blocks_of_queries_it_says_the_same_and_does_not_see_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    _, params, apply = compiled("learned")
    monkeypatch.setattr(attention, "LENGTH_FOR_BLOCKS", 4)
    by_blocks = jax.jit(lambda p, t: SMALL.apply(p, t, train=False)[0])
    tokens = tokens_of()
    assert "causal_mean_by_blocks" in str(jax.make_jaxpr(by_blocks)(params, tokens))
    np.testing.assert_allclose(by_blocks(params, tokens), apply(params, tokens), rtol=1e-5, atol=1e-5)
    for cut in range(1, 12):
        found, moved = (np.asarray(by_blocks(params, t)) for t in (tokens, (tokens + (np.arange(12) >= cut)) % 11))
        np.testing.assert_array_equal(moved[:, :cut], found[:, :cut])


PROGRAMS: dict[str, tuple] = {}


def compiled(positions: str):
    """Model, parameters and compiled logits, made once."""
    if positions not in PROGRAMS:
        model = SMALL.clone(positions=positions)
        PROGRAMS[positions] = model, params_of(model), jax.jit(lambda p, t: model.apply(p, t, train=False)[0])
    return PROGRAMS[positions]


@pytest.mark.parametrize("positions", POSITIONS)
def test_cached_logits_are_the_uncached(positions: str) -> None:
    model, params, apply = compiled(positions)
    tokens = tokens_of()
    step = jax.jit(lambda token, cache: model.apply(params, token, cache, train=False))
    cache, found = model.initial_cache(2, 12), []
    for size in (4, *[1] * 8):
        at = int(cache.position)
        logits, cache = step(tokens[:, at : at + size], cache)
        found.append(logits)
    assert int(cache.position) == 12
    np.testing.assert_allclose(np.concatenate(found, 1), apply(params, tokens), **ROUNDING)


def test_the_cache_is_a_carry_of_a_scan() -> None:
    model, params, apply = compiled("learned")
    tokens = tokens_of()

    def one(cache, token):
        logits, cache = model.apply(params, token[:, None], cache, train=False)
        return cache, logits[:, 0]

    _, logits = jax.jit(lambda: jax.lax.scan(one, model.initial_cache(2, 12), tokens.T))()
    np.testing.assert_allclose(logits.swapaxes(0, 1), apply(params, tokens), **ROUNDING)


def test_too_many_tokens_are_an_error() -> None:
    with pytest.raises(ValueError, match="no place for 13 tokens in a context of 12"):
        SMALL.init(jax.random.key(0), tokens_of(length=13), train=False)
    with pytest.raises(ValueError, match="no place for 13 tokens in a context of 12"):
        SMALL.initial_cache(1, 13)


def test_it_begins_at_the_entropy_of_a_guess() -> None:
    model = GPT(67, context=32)
    tokens, targets = jax.random.randint(jax.random.key(0), (2, 2, 32), 0, 67)
    logits, carry = jax.jit(lambda: model.init_with_output(jax.random.key(0), tokens, train=False)[0])()
    assert carry is None and model.initial_carry(3) is None
    losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)
    # With one table for both ends a token begins with a logit of up to 2.5 for itself, the others with almost nothing.
    assert abs(float(losses.mean()) - np.log(67)) < 0.25


def test_bfloat16_arithmetic_keeps_float32_parameters_and_logits() -> None:
    model, params, apply = compiled("learned")
    logits = jax.jit(lambda: model.clone(dtype=jnp.bfloat16).apply(params, tokens_of(), train=False)[0])()
    assert logits.dtype == jnp.float32
    exact = apply(params, tokens_of())
    # bfloat16 keeps 8 bits: 0.4 % a rounding, some dozens of them.
    np.testing.assert_allclose(logits, exact, atol=0.05 * float(jnp.abs(exact).max()))


def test_dropout_takes_traced_rates_under_vmap() -> None:
    model, params, _ = compiled("learned")
    model = model.clone(layers=1)  # there is no need for the others

    def logits(rate, attention_rate):
        rngs = {"dropout": jax.random.key(0)}
        return model.apply(params, tokens_of(), train=True, dropout=rate, attention_dropout=attention_rate, rngs=rngs)[
            0
        ]

    found = jax.jit(jax.vmap(logits))(jnp.array([0.0, 0.5, 0.0]), jnp.array([0.0, 0.0, 0.5]))
    plain = jax.jit(lambda: model.apply(params, tokens_of(), train=False)[0])()
    np.testing.assert_allclose(found[0], plain, **ROUNDING)
    assert not np.allclose(found[1], plain, atol=1e-2) and not np.allclose(found[2], plain, atol=1e-3)


@pytest.mark.compare
def test_logits_and_gradients_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    model, params, apply = compiled("learned")
    sizes = dict(vocab_size=11, n_positions=12, n_embd=16, n_layer=2, n_head=4)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**sizes, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, attn_implementation="eager")
    )
    missing, unexpected = theirs.load_state_dict(
        {name: torch.tensor(np.array(leaf)) for name, leaf in by_their_names(params["params"]).items()}, strict=False
    )
    assert not unexpected and set(missing) <= {"lm_head.weight"}  # tied
    tokens = tokens_of()
    logits = theirs(torch.tensor(np.asarray(tokens, np.int64))).logits
    np.testing.assert_allclose(apply(params, tokens), logits.detach(), **ROUNDING)
    logits.square().mean().backward()
    ours = jax.grad(lambda p: (model.apply(p, tokens, train=False)[0] ** 2).mean())(params)
    own = dict(theirs.named_parameters())
    for name, gradient in by_their_names(ours["params"]).items():
        np.testing.assert_allclose(gradient, own[name].grad, rtol=1e-4, atol=1e-5, err_msg=name)


def by_their_names(params) -> dict[str, np.ndarray]:
    """Our parameters, or gradients, named and laid out as in transformers."""
    found = {
        "transformer.wte.weight": params["token"]["embedding"],
        "transformer.wpe.weight": params["place"]["embedding"],
        "transformer.ln_f.weight": params["norm"]["scale"],
        "transformer.ln_f.bias": params["norm"]["bias"],
    }
    for number in range(2):
        block, prefix = params[f"blocks_{number}"], f"transformer.h.{number}."
        attention, hidden = block["attention"], block["feed_forward"]
        for kind, name in (("kernel", "weight"), ("bias", "bias")):
            found |= {
                f"{prefix}attn.c_attn.{name}": np.concatenate(
                    [attention[k][kind] for k in ("query", "key", "value")], -1
                ),
                f"{prefix}attn.c_proj.{name}": attention["output"][kind],
                f"{prefix}mlp.c_fc.{name}": hidden["hidden_layer"][kind],
                f"{prefix}mlp.c_proj.{name}": hidden["output"][kind],
            }
        for kind, name in (("scale", "weight"), ("bias", "bias")):
            found |= {
                f"{prefix}ln_1.{name}": block["attention_norm"][kind],
                f"{prefix}ln_2.{name}": block["feed_forward_norm"][kind],
            }
    return {name: np.asarray(leaf) for name, leaf in found.items()}
