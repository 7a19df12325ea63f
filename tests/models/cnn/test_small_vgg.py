"""The small VGG: counts by formula, shapes, batch statistics, dropout, bfloat16."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.cnn.small_vgg import SmallVGG
from tests.initialised import initialised


def images_of(batch: int = 4, side: int = 12, channels: int = 1) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((batch, side, side, channels), np.float32))


SMALL = SmallVGG(5, widths=(4, 6))
evaluated = jax.jit(partial(SMALL.apply, train=False))
trained = jax.jit(partial(SMALL.apply, train=True, mutable=["batch_stats"]))


def count(widths: tuple[int, ...], channels: int, classes: int) -> int:
    """Two 3x3 kernels a block, scale and shift for each map, an affine layer."""
    total, before = 0, channels
    for maps in widths:
        total += 9 * before * maps + 9 * maps * maps + 4 * maps
        before = maps
    return total + before * classes + classes


@pytest.mark.parametrize(
    ("widths", "channels", "classes"), [((16, 32, 64), 1, 10), ((4, 6), 3, 5), ((12, 32, 72), 1, 10)]
)
def test_parameters_follow_the_formula(widths: tuple[int, ...], channels: int, classes: int) -> None:
    shapes = jax.eval_shape(
        lambda: SmallVGG(classes, widths).init(jax.random.key(0), images_of(1, 28, channels), train=False)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count(widths, channels, classes)


def test_the_default_has_the_count_that_its_header_states() -> None:
    assert count((16, 32, 64), 1, 10) == 72_666


@pytest.mark.parametrize(("side", "channels"), [(12, 1), (13, 3), (4, 1)])
def test_any_size_and_channels_give_finite_logits(side: int, channels: int) -> None:
    images = images_of(4, side, channels)
    logits = evaluated(initialised(SMALL, images), images)
    assert logits.shape == (4, 5) and np.isfinite(logits).all()


def test_training_updates_the_batch_statistics_and_evaluation_uses_them() -> None:
    images = 3 + images_of()
    variables = initialised(SMALL, images)
    _, after = trained(variables, images)
    conv = jax.lax.conv(
        images.transpose(0, 3, 1, 2), variables["params"]["conv1_1"]["kernel"].transpose(3, 2, 0, 1), (1, 1), "SAME"
    )
    # The moving mean starts at 0 and keeps nine tenths of itself; sums of 9 terms in f32.
    np.testing.assert_allclose(
        after["batch_stats"]["norm1_1"]["mean"], 0.1 * conv.mean((0, 2, 3)), rtol=1e-4, atol=1e-5
    )
    one = evaluated(variables | after, images[:1])
    all_of_them = evaluated(variables | after, images)
    np.testing.assert_allclose(one, all_of_them[:1], rtol=1e-4, atol=1e-5)  # no example sees another; f32 rounding


def test_dropout_takes_traced_rates_under_vmap() -> None:
    images = images_of()
    variables = initialised(SMALL, images)

    def logits(rate):
        return SMALL.apply(
            variables, images, train=True, dropout=rate, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
        )[0]

    kept, dropped, gone = jax.jit(jax.vmap(logits))(jnp.array([0.0, 0.5, 1.0]))
    plain = trained(variables, images)[0]
    np.testing.assert_allclose(kept, plain, rtol=1e-4, atol=1e-5)  # grouped convolutions against plain: f32 rounding
    assert not np.allclose(dropped, plain, atol=1e-2)
    np.testing.assert_array_equal(gone, jnp.zeros_like(gone))  # only the bias, which starts at zero, is left


def test_bfloat16_arithmetic_keeps_everything_else_float32() -> None:
    images = images_of()
    model = SmallVGG(5, widths=(4, 6), dtype=jnp.bfloat16)
    variables = initialised(model, images)
    logits, after = jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]))(variables, images)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, after))} == {jnp.dtype("float32")}


def test_every_parameter_gets_a_gradient() -> None:
    images = images_of(8)
    variables = initialised(SMALL, images)

    def loss(params):
        return jnp.sin(trained(variables | {"params": params}, images)[0]).sum()

    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(variables["params"])))


def test_the_features_make_the_logits() -> None:
    images = images_of()
    variables = initialised(SMALL, images)
    logits, sown = SMALL.apply(variables, images, train=False, mutable=["intermediates"])
    (features,) = sown["intermediates"]["features"]
    output = variables["params"]["output"]
    np.testing.assert_allclose(features @ output["kernel"] + output["bias"], logits, rtol=1e-5, atol=1e-6)
