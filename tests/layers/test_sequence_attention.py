"""Scores of bfloat16 products are float32 when the softmax reads them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.sequence_attention import AdditiveAttention, MultiplicativeAttention

WIDTH = 64


@pytest.mark.parametrize(
    "attention",
    [AdditiveAttention(WIDTH, jnp.bfloat16), MultiplicativeAttention(WIDTH, False, jnp.bfloat16)],
    ids=["additive", "dot"],
)
def test_scores_are_not_rounded_to_bfloat16(attention) -> None:
    states = jax.random.normal(jax.random.key(0), (3, 5, WIDTH), jnp.bfloat16)
    query = jax.random.normal(jax.random.key(1), (3, WIDTH), jnp.bfloat16)
    mask = jnp.ones((3, 5), bool)

    def weights(module):
        return module(query, module.keys(states), states, mask)[1]

    variables = attention.init(jax.random.key(2), method=weights)
    found = np.log(np.asarray(attention.apply(variables, method=weights), np.float64))
    if isinstance(attention, MultiplicativeAttention):
        exact = np.einsum("bd,bsd->bs", np.asarray(query, np.float64), np.asarray(states, np.float64))
        np.testing.assert_allclose(found - found[:, :1], exact - exact[:, :1], rtol=1e-4, atol=1e-3)
    differences = (found - found[:, :1])[:, 1:]
    rounded = np.asarray(jnp.asarray(differences, jnp.bfloat16), np.float64)
    assert (np.abs(differences - rounded) > 1e-5).any()
