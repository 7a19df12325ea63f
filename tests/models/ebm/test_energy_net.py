from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.ebm.energy_net import EnergyNet
from tests.initialised import initialised

IMAGES = jax.random.uniform(jax.random.key(0), (6, 28, 28, 1), minval=-1, maxval=1)


def net_of(**fields):
    model = EnergyNet(**fields)
    return model, initialised(model, IMAGES, seed=1)


def test_parameters_are_those_of_the_layout() -> None:
    _, variables = net_of(widths=(16, 32, 64))
    counts = {name: sum(leaf.size for leaf in jax.tree.leaves(layer)) for name, layer in variables["params"].items()}
    assert counts == {
        "conv1": 16 * 16 + 16,
        "conv2": 16 * 16 * 32 + 32,
        "conv3": 16 * 32 * 64 + 64,
        "energy": 4 * 4 * 64,
    }
    _, wide = net_of(widths=(16,), full_resolution=8)
    assert wide["params"]["full_resolution"]["kernel"].shape == (3, 3, 1, 8)


def test_an_images_energy_is_its_own() -> None:
    model, variables = net_of()
    energy = jax.jit(partial(model.apply, train=True))
    together, alone = energy(variables, IMAGES), [energy(variables, image[None])[0] for image in IMAGES]
    assert together.shape == (6,) and together.dtype == jnp.float32
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)  # f32 sums in another order


def test_with_batch_norm_it_is_not() -> None:
    model, variables = net_of(norm="batch")
    energy = jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]))
    (together, after), (pair, _) = energy(variables, IMAGES), energy(variables, IMAGES[:2])
    assert np.abs(together[:2] - pair).max() > 1e-4
    assert not np.allclose(after["batch_stats"]["norm1"]["mean"], variables["batch_stats"]["norm1"]["mean"])


def test_its_slope_in_the_image_has_no_jumps() -> None:
    """Central differences of the slope along a line stay of the size that its curvature has: no kinks as of ReLU."""
    model, variables = net_of()
    direction = jax.random.normal(jax.random.key(2), IMAGES[:1].shape)
    slope = jax.jit(jax.grad(lambda t: model.apply(variables, IMAGES[:1] + t * direction, train=False)[0]))
    curvature = [float(slope(t + 0.01) - slope(t)) / 0.01 for t in jnp.linspace(-0.2, 0.2, 21)]
    assert np.abs(np.diff(curvature)).max() < 0.5 * (np.abs(curvature).max() + 1e-3)


@pytest.mark.parametrize("side", [8, 28, 32])
def test_any_size_and_bfloat16(side: int) -> None:
    model = EnergyNet(dtype=jnp.bfloat16)
    images = jnp.ones((2, side, side, 3))
    energy, variables = jax.jit(partial(model.init_with_output, train=False))(jax.random.key(0), images)
    assert energy.dtype == jnp.float32 and np.isfinite(energy).all()
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
