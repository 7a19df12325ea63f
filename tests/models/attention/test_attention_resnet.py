"""ResNet with attention: where it stands, what it costs, what it looks at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.models.attention.attention_resnet import AttentionResNet
from dlvr_jax.models.modern_cnn.resnet import ResNetCifar
from tests.configs import tiny

CONFIG = "configs/attention/resnet20_se_fashion_mnist.py"
every_kind = pytest.mark.parametrize("attention", ["none", "se", "cbam", "self_attention"])


def images_of(batch: int = 4, side: int = 12, channels: int = 1) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (batch, side, side, channels))


def small(attention: str, **fields) -> AttentionResNet:
    return AttentionResNet(5, attention, **{"reduction": 2, "depth": 8, "width": 4, **fields})


def count(model) -> int:
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images_of(1, 28), train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_without_attention_it_is_the_resnet() -> None:
    plain, other = AttentionResNet(10, "none"), ResNetCifar(10)
    a, b = (jax.eval_shape(lambda m=m: m.init(jax.random.key(0), images_of(1), train=False)) for m in (plain, other))
    assert a == b
    assert count(plain) == 269_434


@pytest.mark.parametrize("stages", [(), (1,), (2, 3), (1, 2, 3)])
def test_each_kind_costs_what_its_formula_says(stages: tuple[int, ...]) -> None:
    widths = [16 * 2 ** (stage - 1) for stage in stages]
    mlps = sum(3 * (2 * maps * (maps // 8) + maps // 8 + maps) for maps in widths)
    places = sum(3 * 7 * 7 * 2 for _ in widths)
    itself = sum(4 * maps * (maps // 8) + 1 for maps in widths)
    for attention, extra in {"none": 0, "se": mlps, "cbam": mlps + places, "self_attention": itself}.items():
        assert count(AttentionResNet(10, attention, stages)) == 269_434 + extra


@every_kind
def test_every_parameter_gets_a_gradient(attention: str) -> None:
    model, images = small(attention), images_of(8)
    variables = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
    # Self-attention starts with nothing of what it finds; so its parameters would get nothing, either.
    params = jax.tree.map(lambda leaf: leaf + 0.5 if leaf.ndim == 0 else leaf, variables["params"])

    def loss(params):
        return jnp.sin(
            model.apply({**variables, "params": params}, images, train=True, mutable=["batch_stats"])[0]
        ).sum()

    gradient = jax.jit(jax.grad(loss))(params)
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


@every_kind
def test_what_it_looks_at_can_be_seen(attention: str) -> None:
    model, images = small(attention, stages=(2,)), images_of()
    variables = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
    logits, sown = jax.jit(lambda: model.apply(variables, images, train=False, mutable=["intermediates"]))()
    assert logits.shape == (4, 5) and logits.dtype == jnp.float32
    sown = sown["intermediates"]
    assert sown.pop("features")[0].shape == (4, 16)
    found = {path: {k: v[0].shape for k, v in leaf.items()} for path, leaf in _flat(sown).items()}
    expected = {
        "none": {},
        "se": {"block2_1": {"channel_attention": (4, 8)}},
        "cbam": {"block2_1": {"channel_attention": (4, 8), "spatial_attention": (4, 6, 6)}},
        "self_attention": {"attention2": {"attention": (4, 1, 36, 36)}},
    }
    assert found == expected[attention]
    if attention == "self_attention":  # over 36 places, not over one
        np.testing.assert_allclose(sown["attention2"]["attention"][0].sum(-1), 1, rtol=1e-6)


def _flat(sown):
    return {name: leaf.get("attention", leaf) if name.startswith("block") else leaf for name, leaf in sown.items()}


@every_kind
def test_bfloat16_arithmetic_keeps_everything_else_float32(attention: str) -> None:
    model = small(attention, dtype=jnp.bfloat16)
    logits, shapes = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images_of(), train=False))
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, shapes))} == {jnp.dtype("float32")}


def test_stages_that_there_are_not_are_refused() -> None:
    with pytest.raises(UserError, match="stages: there is no stage 4; there are 1, 2 and 3"):
        tiny(CONFIG, model__stages="(2,4)")


def test_self_attention_over_a_single_place_is_refused() -> None:
    with pytest.raises(ValueError, match="1x1 places"):
        jax.eval_shape(lambda: small("self_attention").init(jax.random.key(0), images_of(1, 4), train=False))
