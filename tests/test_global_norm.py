"""The norm of a tree is that of one long vector."""

import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.global_norm import global_norm

SHAPES = {"short ones": [(3,), (), (5,)], "long ones": [(2, 3), (1, 4, 2)], "both": [(4,), (2, 3), (), (3, 1, 2)]}


@pytest.mark.parametrize("case", SHAPES)
def test_it_is_that_of_one_vector(case: str) -> None:
    rng = np.random.default_rng(0)
    leaves = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES[case]]
    whole = np.concatenate([leaf.ravel() for leaf in leaves]).astype(np.float64)
    tree = {str(number): jnp.asarray(leaf) for number, leaf in enumerate(leaves)}
    np.testing.assert_allclose(global_norm(tree), np.linalg.norm(whole), rtol=1e-6)


def test_of_nothing_it_is_zero() -> None:
    assert global_norm({}) == 0


def test_one_number_that_is_not_finite_shows() -> None:
    assert np.isnan(global_norm([jnp.ones((2, 2)), jnp.array([1.0, jnp.nan])]))
