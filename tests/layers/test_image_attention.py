"""Attention inside convolutional networks: shapes, sums, and the formulas in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.image_attention import CBAM, ImageSelfAttention, SqueezeExcite

F32 = dict(rtol=1e-5, atol=1e-5)  # sums of up to 100 terms of order 1, in another order
KINDS = (SqueezeExcite(3), CBAM(3, 3), ImageSelfAttention(2))
every_kind = pytest.mark.parametrize("model", KINDS, ids=lambda model: type(model).__name__)


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def started(model, x: jax.Array) -> dict:
    """Its parameters, with none at zero."""
    variables = jax.jit(lambda: model.init(jax.random.key(0), x))()
    return jax.tree.map(
        lambda p: p + 0.3 * np.cos(1.0 + np.arange(p.size, dtype=np.float32)).reshape(p.shape), variables
    )


def seen(model, x: jax.Array) -> dict[str, jax.Array]:
    _, sown = model.apply(started(model, x), x, mutable=["intermediates"])
    return {name: value[0] for name, value in sown["intermediates"].items()}


@every_kind
@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (1, 1, 2, 8)])
def test_shapes_stay(model, shape: tuple[int, ...]) -> None:
    y = jax.jit(model.apply)(started(model, normal(1, *shape)), normal(1, *shape))
    assert y.shape == shape and np.isfinite(y).all()


def test_rows_of_self_attention_sum_to_one_over_all_places() -> None:
    weights = seen(ImageSelfAttention(2), normal(1, 2, 5, 4, 6))["attention"]
    assert weights.shape == (2, 1, 20, 20)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)  # sums of 20 rounded numbers
    assert (weights > 0).all() and weights.std() > 1e-3


def test_self_attention_refuses_a_single_place() -> None:
    with pytest.raises(ValueError, match="1x1 places"):
        ImageSelfAttention().init(jax.random.key(0), jnp.zeros((2, 1, 1, 8)))


def test_self_attention_starts_as_the_identity_and_then_sees_far() -> None:
    x = normal(1, 1, 5, 4, 6)
    model = ImageSelfAttention(2)
    np.testing.assert_array_equal(model.apply(model.init(jax.random.key(0), x), x), x)
    variables = started(model, x)
    slope = jax.jit(jax.jacrev(lambda x: model.apply(variables, x)[0, 0, 0]))(x)  # of the first place
    assert (np.abs(slope[:, 0]).max((0, 3)) > 0).all()  # by every place


def test_weights_of_maps_and_places_have_their_shapes_and_lie_between_0_and_1() -> None:
    x = normal(1, 2, 5, 4, 6)
    found = {"se": seen(SqueezeExcite(3), x), "cbam": seen(CBAM(3), x)}
    assert {name: w.shape for name, w in found["se"].items()} == {"channel_attention": (2, 6)}
    assert {name: w.shape for name, w in found["cbam"].items()} == {
        "channel_attention": (2, 6),
        "spatial_attention": (2, 5, 4),
    }
    for weights in jax.tree.leaves(found):
        assert (weights > 0).all() and (weights < 1).all() and weights.std() > 1e-3


@every_kind
def test_bfloat16_stays_bfloat16_with_float32_parameters(model) -> None:
    x = normal(1, 2, 5, 4, 6).astype(jnp.bfloat16)
    narrow = model.clone(dtype=jnp.bfloat16)
    variables = narrow.init(jax.random.key(0), x)
    assert narrow.apply(variables, x).dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@every_kind
def test_every_parameter_gets_a_gradient(model) -> None:
    x = normal(1, 2, 5, 4, 6)
    gradient = jax.jit(jax.grad(lambda variables: jnp.sin(model.apply(variables, x)).sum()))(started(model, x))
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def _dense(torch, x, layer):
    y = x @ torch.tensor(np.array(layer["kernel"]))
    return y + torch.tensor(np.array(layer["bias"])) if "bias" in layer else y


def _torch_squeeze_excite(torch, params, x):
    hidden = torch.relu(_dense(torch, x.mean((2, 3)), params["reduce"]))
    return x * torch.sigmoid(_dense(torch, hidden, params["restore"]))[:, :, None, None]


def _torch_cbam(torch, params, x):
    mlp = lambda z: _dense(torch, torch.relu(_dense(torch, z, params["reduce"])), params["restore"])  # noqa: E731
    x = x * torch.sigmoid(mlp(x.mean((2, 3))) + mlp(x.amax((2, 3))))[:, :, None, None]
    kernel = torch.tensor(np.array(params["places"]["kernel"])).permute(3, 2, 0, 1)
    maps = torch.stack([x.mean(1), x.amax(1)], 1)
    return x * torch.sigmoid(torch.nn.functional.conv2d(maps, kernel, padding=kernel.shape[-1] // 2))


def _torch_self_attention(torch, params, x):
    places = x.flatten(2).transpose(1, 2)
    q, k, v = (_dense(torch, places, params[name]) for name in ("query", "key", "value"))
    found = torch.nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
    output = _dense(torch, found, params["output"]).transpose(1, 2).reshape(x.shape)
    return x + float(params["strength"]) * output


@pytest.mark.compare
@pytest.mark.parametrize(
    ("model", "theirs"),
    list(zip(KINDS, (_torch_squeeze_excite, _torch_cbam, _torch_self_attention), strict=True)),
    ids=lambda value: type(value).__name__,
)
def test_it_is_the_formula_in_pytorch(model, theirs) -> None:
    torch = pytest.importorskip("torch")
    x = normal(1, 2, 5, 4, 6)
    variables = started(model, x)
    expected = theirs(torch, variables["params"], torch.tensor(np.array(x)).permute(0, 3, 1, 2))
    np.testing.assert_allclose(model.apply(variables, x), expected.permute(0, 2, 3, 1), **F32)
