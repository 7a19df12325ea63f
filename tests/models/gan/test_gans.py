"""The GANs: counts by formula, shapes, ranges, statistics, initial values, precision."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.convolution import TransposedConv
from dlvr_jax.models.gan.dcgan import DCGAN
from dlvr_jax.models.gan.mlp_gan import MLPGAN
from dlvr_jax.models.gan.wgan_gp import WGANGP
from tests.initialised import initialised

SHAPE = (8, 12, 3)
IMAGE_GANS = {
    "mlp": MLPGAN(SHAPE, 5, (6,), (7,)),
    "dcgan": DCGAN(SHAPE, 5, (4, 6)),
    "wgan_gp": WGANGP(SHAPE, 5, (4, 6)),
}
every_gan = pytest.mark.parametrize("name", IMAGE_GANS)


def z_of(count: int = 4, latent: int = 5) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((count, latent), np.float32))


def images_of(count: int = 4) -> jax.Array:
    return jnp.asarray(np.random.default_rng(2).uniform(-1, 1, (count, *SHAPE)), jnp.float32)


def variables_of(model, z: jax.Array | None = None, examples: jax.Array | None = None):
    z, examples = z_of() if z is None else z, images_of() if examples is None else examples
    return initialised(model, z, examples)


def count(model, shape: tuple[int, ...]) -> dict[str, int]:
    z, examples = jnp.zeros((1, model.latent)), jnp.zeros((1, *shape))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), z, examples, train=False))["params"]
    return {name: sum(leaf.size for leaf in jax.tree.leaves(tree)) for name, tree in shapes.items()}


def test_parameters_follow_the_formulas() -> None:
    found = count(MLPGAN((28, 28, 1)), (28, 28, 1))
    assert found == {
        "generator": 100 * 256 + 256 + 256 * 512 + 512 + 512 * 784 + 784,
        "discriminator": 784 * 512 + 512 + 512 * 256 + 256 + 256,
    }
    assert sum(found.values()) == 1_093_136  # as its header states
    generator = 100 * 49 * 64 + 2 * 64 + 16 * 64 * 32 + 2 * 32 + 16 * 32 + 1
    down = 16 * 32 + 32 + 16 * 32 * 64
    assert count(DCGAN((28, 28, 1), 100, (32, 64)), (28, 28, 1)) == {
        "generator": generator,
        "discriminator": down + 2 * 64 + 49 * 64,
    }
    assert count(WGANGP((28, 28, 1), 100, (32, 64)), (28, 28, 1)) == {
        "generator": generator,
        "discriminator": down + 64 + 2 * 64 + 49 * 64,
    }


@every_gan
@pytest.mark.parametrize("train", [False, True])
def test_images_in_range_and_a_score_each(name: str, train: bool) -> None:
    model = IMAGE_GANS[name]
    variables = variables_of(model)
    apply = jax.jit(partial(model.apply, train=train, mutable=["batch_stats"]))
    (images, scores), _ = jax.device_get(apply(variables, z_of(), images_of()))
    assert images.shape == (4, *SHAPE) and scores.shape == (4,)
    assert np.abs(images).max() <= 1 and images.std() > 0
    assert set(variables["params"]) == {"generator", "discriminator"}


def test_points_have_no_bounds() -> None:
    model = MLPGAN((2,), 5, (6,), (7,))
    variables = variables_of(model, z_of(), jnp.zeros((4, 2)))
    points = model.apply(variables, 100 * z_of(), method="generate", train=False)
    assert points.shape == (4, 2) and float(jnp.abs(points).max()) > 1


def test_the_critic_sees_one_example_at_a_time_and_keeps_no_statistics() -> None:
    model = IMAGE_GANS["wgan_gp"]
    variables = variables_of(model)
    assert set(variables["batch_stats"]) == {"generator"}
    discriminate = jax.jit(partial(model.apply, method="discriminate", train=True))
    together = discriminate(variables, images_of())
    alone = np.concatenate([discriminate(variables, one[None]) for one in np.asarray(images_of())])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)  # another batch size: f32 rounding
    gradient = np.asarray(jax.jit(jax.grad(lambda x: discriminate(variables, x)[0]))(images_of()))
    assert np.abs(gradient[0]).max() > 0 and not np.any(gradient[1:])


def test_the_discriminator_of_dcgan_does_see_its_batch() -> None:
    model = IMAGE_GANS["dcgan"]
    variables = variables_of(model)

    def first(x):
        return model.apply(variables, x, method="discriminate", train=True, mutable=["batch_stats"])[0][0]

    assert np.abs(jax.jit(jax.grad(first))(images_of())[1:]).max() > 0


def test_dcgan_starts_as_its_paper_says() -> None:
    model = DCGAN((28, 28, 1), 100, (32, 64))
    params = variables_of(model, z_of(1, 100), jnp.zeros((1, 28, 28, 1)))["params"]
    for kernel in (params["generator"]["up1"]["kernel"], params["discriminator"]["down2"]["kernel"]):
        assert np.std(kernel) == pytest.approx(0.02, rel=0.03) and abs(np.mean(kernel)) < 1e-3  # of 32,768 numbers
    scale = params["generator"]["norm0"]["scale"]
    assert np.mean(scale) == pytest.approx(1, abs=0.01) and np.std(scale) == pytest.approx(0.02, rel=0.4)


def test_every_position_of_a_doubled_picture_gets_as_many_summands() -> None:
    """The transposed convolutions of ones: a checkerboard would show in the middle."""
    model = DCGAN((16, 16, 1), 4, (2, 2))
    variables = variables_of(model, z_of(1, 4), jnp.zeros((1, 16, 16, 1)))
    ones = jax.tree.map(jnp.ones_like, variables["params"]["generator"]["output"])
    doubled = TransposedConv(1, 4, 2).apply({"params": ones}, jnp.ones((1, 8, 8, 2)))
    assert doubled.shape == (1, 16, 16, 1) and len(np.unique(doubled[0, 2:-2, 2:-2])) == 1


@pytest.mark.parametrize("kind", [DCGAN, WGANGP])
def test_sides_that_do_not_halve_are_told(kind) -> None:
    with pytest.raises(ValueError, match="halve"):
        kind((10, 12, 1), 5, (4, 6)).init(jax.random.key(0), z_of(), jnp.zeros((4, 10, 12, 1)), train=False)


@every_gan
def test_bfloat16_arithmetic_keeps_everything_else_float32(name: str) -> None:
    model = IMAGE_GANS[name].clone(dtype=jnp.bfloat16)
    variables = variables_of(model)
    apply = jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]))
    out, after = apply(variables, z_of(), images_of())
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, out, after))} == {jnp.dtype("float32")}
    scores = np.asarray(out[1])
    assert (scores != scores.astype(jnp.bfloat16).astype(np.float32)).any()  # not rounded to 8 bits on their way
