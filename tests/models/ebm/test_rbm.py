"""The restricted Boltzmann machine against sums over all its states."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.models.ebm.rbm import RBM
from tests.initialised import initialised

VISIBLE, HIDDEN = 4, 3
MODEL = RBM(sample_shape=(2, 2, 1), hidden=HIDDEN)
V = np.array(list(itertools.product([0.0, 1.0], repeat=VISIBLE)))
H = np.array(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))


def params_of(seed: int) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(seed)
    shapes = {"weights": (VISIBLE, HIDDEN), "visible_bias": (VISIBLE,), "hidden_bias": (HIDDEN,)}
    return {name: numbers.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def joint(params: dict[str, np.ndarray]) -> np.ndarray:
    """p(v, h) of every pair of states, in float64."""
    b, c, w = (np.asarray(params[name], np.float64) for name in ("visible_bias", "hidden_bias", "weights"))
    weights = np.exp((V @ b)[:, None] + (H @ c)[None] + V @ w @ H.T)
    return weights / weights.sum()


def apply(params, *arguments, **named):
    return MODEL.apply({"params": jax.tree.map(jnp.asarray, params)}, *arguments, **named)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_free_energy_sums_the_hidden_units_out(seed: int) -> None:
    params = params_of(seed)
    free_energy = np.asarray(apply(params, jnp.asarray(V), train=False), np.float64)
    expected = np.log(joint(params).sum(1))
    np.testing.assert_allclose(-free_energy - -free_energy[0], expected - expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_conditionals_are_those_of_the_joint(seed: int) -> None:
    params, p = params_of(seed), joint(params_of(seed))
    hidden = jax.nn.sigmoid(apply(params, jnp.asarray(V), method="hidden_logits"))
    np.testing.assert_allclose(hidden, (p / p.sum(1, keepdims=True)) @ H, rtol=1e-5)
    visible = jax.nn.sigmoid(apply(params, jnp.asarray(H), method="visible_logits"))
    np.testing.assert_allclose(visible, (p / p.sum(0)).T @ V, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_pseudo_log_likelihood_is_the_sum_over_pixels(seed: int) -> None:
    params = params_of(seed)
    p = dict(zip(map(tuple, V), joint(params).sum(1), strict=True))

    def conditional(v, i):
        flipped = (*v[:i], 1 - v[i], *v[i + 1 :])
        return np.log(p[tuple(v)] / (p[tuple(v)] + p[flipped]))

    expected = [sum(conditional(v, i) for i in range(VISIBLE)) for v in V]
    np.testing.assert_allclose(apply(params, jnp.asarray(V), method="pseudo_log_likelihood"), expected, rtol=1e-4)


def test_gibbs_chains_come_to_the_models_distribution() -> None:
    params, chains = params_of(0), 8_000
    step = partial(apply, params, method="gibbs")
    start = jnp.zeros((chains, VISIBLE), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 60)
    end = jax.jit(lambda: jax.lax.scan(lambda v, key: (step(v, key)[0], None), start, keys)[0])()
    found = np.bincount(np.asarray(end @ 2.0 ** np.arange(VISIBLE)[::-1]).astype(int), minlength=len(V)) / chains
    expected = joint(params).sum(1)
    # Independent chains, 16 counts: within 4.5 standard errors of each.
    assert (np.abs(found - expected) < 4.5 * np.sqrt(expected * (1 - expected) / chains)).all()


def test_gibbs_tells_the_probabilities_that_it_drew_from() -> None:
    params = params_of(0)
    v, probabilities = apply(params, jnp.ones((20_000, VISIBLE)), jax.random.key(0), method="gibbs")
    assert set(np.unique(v)) <= {0.0, 1.0}
    np.testing.assert_allclose(v.mean(0), probabilities.mean(0), atol=4 * 0.5 / 20_000**0.5)


def test_parameters_and_types() -> None:
    model = RBM(sample_shape=(8, 8, 1), hidden=128, dtype=jnp.bfloat16)
    images = jnp.ones((3, 64))
    params = initialised(model, images)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 64 * 128 + 64 + 128
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    energy = model.apply({"params": params}, images, train=False)
    assert energy.dtype == jnp.float32
    exact = RBM(sample_shape=(8, 8, 1), hidden=128).apply({"params": params}, images, train=False)
    np.testing.assert_array_equal(energy, exact)  # only Gibbs steps are in bfloat16: log Z is of these energies
