"""The U-Net: the published count, what it looks at, where it starts."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.diffusion.unet import UNet

SMALL = UNet(num_classes=3, conditional=True, width=8, multipliers=(1, 2), groups=4, attention=(6,))
IMAGES = jax.random.normal(jax.random.key(1), (4, 12, 12, 2))
TIMES, LABELS = jnp.array([1, 10, 500, 1000]), jnp.array([0, 1, 2, 3])


@lru_cache(maxsize=1)
def variables():
    """Random throughout, also where a new network has zeros. By numpy, since twenty draws of jax compile for long."""
    draws = np.random.default_rng(5)
    shapes = jax.eval_shape(partial(SMALL.init, train=False), jax.random.key(0), IMAGES, TIMES, LABELS)
    return jax.tree.map(lambda leaf: jnp.asarray(0.2 * draws.standard_normal(leaf.shape), jnp.float32), shapes)


@jax.jit
def answer(variables, images, times, labels):
    return SMALL.apply(variables, images, times, labels, train=False)


def said(images=IMAGES, times=TIMES, labels=LABELS):
    return answer(variables(), images, times, labels)


def count(model: UNet, shape: tuple[int, ...]) -> int:
    zeros = jnp.zeros((1, *shape)), jnp.ones(1, int), jnp.zeros(1, int)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), *zeros, train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


PAPER = UNet(width=128, multipliers=(1, 2, 2, 2), blocks=2, attention=(16,), groups=32)


def test_the_papers_network_has_its_count() -> None:
    assert count(PAPER, (32, 32, 3)) == 35_746_307


@pytest.mark.compare
def test_the_count_is_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        other = diffusers.UNet2DModel(  # as in google/ddpm-cifar10-32
            sample_size=32,
            block_out_channels=(128, 256, 256, 256),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
        )
    assert count(PAPER, (32, 32, 3)) == sum(parameter.numel() for parameter in other.parameters())


def test_a_new_network_says_nothing() -> None:
    model = UNet(width=4, multipliers=(1,), groups=2)
    said, _ = jax.jit(partial(model.init_with_output, train=False))(jax.random.key(0), IMAGES, TIMES)
    np.testing.assert_array_equal(said, jnp.zeros_like(IMAGES))


def test_time_matters() -> None:
    one, other = said(times=jnp.full(4, 1)), said(times=jnp.full(4, 2))
    assert np.abs(one - other).max((1, 2, 3)).min() > 1e-3


def test_class_matters_and_no_class_is_one_of_its_own() -> None:
    answers = [said(labels=jnp.full(4, label)) for label in range(4)]
    for k in range(4):
        for other in range(k):
            assert np.abs(answers[k] - answers[other]).max((1, 2, 3)).min() > 1e-3


def test_no_example_sees_another() -> None:
    alone = said(IMAGES[2:3], TIMES[2:3], LABELS[2:3])
    np.testing.assert_allclose(alone, said()[2:3], rtol=1e-4, atol=1e-4)  # convolutions of another batch: f32 rounding


def test_every_pixel_sees_every_other() -> None:
    gradient = jax.jit(jax.grad(lambda x: said(x)[0, 0, 0, 0]))(IMAGES)
    assert (np.abs(gradient[0]) > 0).all() and (gradient[1:] == 0).all()


def test_every_parameter_gets_a_gradient() -> None:
    gradient = jax.jit(jax.grad(lambda v: jnp.sin(SMALL.apply(v, IMAGES, TIMES, LABELS, train=True)).sum()))(
        variables()
    )
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_without_classes_labels_are_not_looked_at() -> None:
    model = UNet(num_classes=3, width=8, multipliers=(1, 2), groups=4)
    without = jax.eval_shape(lambda: model.init(jax.random.key(0), IMAGES, TIMES, None, train=False))
    assert "classes" not in without["params"]
    with pytest.raises(ValueError, match="labels"):
        SMALL.apply(variables(), IMAGES, TIMES, None, train=False)


@pytest.mark.parametrize("side", [5, 7, 12])
def test_sides_that_do_not_halve_come_out_whole(side: int) -> None:
    images = jnp.zeros((2, side, side + 1, 1))
    model = UNet(width=8, multipliers=(1, 1, 1), groups=4)
    y, _ = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images, TIMES[:2], train=False))
    assert y.shape == images.shape


def test_dropout_acts_in_training_only_and_takes_traced_rates() -> None:
    def trained(rate):
        return SMALL.apply(
            variables(), IMAGES, TIMES, LABELS, train=True, dropout=rate, rngs={"dropout": jax.random.key(0)}
        )

    kept, dropped = jax.jit(jax.vmap(trained))(jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(kept, said(), rtol=1e-4, atol=1e-4)  # another program: f32 rounding
    assert np.abs(dropped - kept).max() > 1e-2


def test_bfloat16_arithmetic_keeps_everything_else_float32() -> None:
    model = SMALL.clone(dtype=jnp.bfloat16)
    y, fresh = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), IMAGES, TIMES, LABELS, train=False))
    assert y.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(fresh)} == {jnp.dtype("float32")}


def test_a_group_of_one_map_is_refused() -> None:
    """It would take out of each map what the time has added to it."""
    with pytest.raises(ValueError, match="8 maps are not 8 groups"):
        UNet(width=8, multipliers=(1,), groups=8).init(jax.random.key(0), IMAGES, TIMES, train=False)
