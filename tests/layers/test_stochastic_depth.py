"""Stochastic depth: whole branches, by example."""

import jax
import jax.numpy as jnp
import numpy as np

from dlvr_jax.layers.stochastic_depth import stochastic_depth


def test_an_example_keeps_its_whole_branch_scaled_or_loses_it() -> None:
    branch = 1 + jax.random.uniform(jax.random.key(0), (1000, 2, 2, 3))
    dropped = np.asarray(stochastic_depth(branch, 0.25, jax.random.key(1)))
    kept = (dropped != 0).any((1, 2, 3))
    np.testing.assert_allclose(dropped[kept], branch[kept] / 0.75, rtol=1e-6)
    assert (dropped[~kept] == 0).all()
    assert abs(kept.mean() - 0.75) < 0.042  # three standard deviations of a mean of 1000


def test_rates_may_be_traced() -> None:
    branch = jnp.ones((8, 2, 2, 3))
    none, some, all_of_it = jax.vmap(lambda rate: stochastic_depth(branch, rate, jax.random.key(0)))(
        jnp.array([0.0, 0.5, 1.0])
    )
    np.testing.assert_array_equal(none, branch)
    assert 0 < (some == 0).mean() < 1
    assert (all_of_it == 0).all()
