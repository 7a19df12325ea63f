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
    exact = attention.apply(variables, query, states, method=_scores)
    np.testing.assert_allclose(found - found[:, :1], exact - exact[:, :1], rtol=1e-4, atol=1e-4)  # bfloat16: 2 ** -9


def _scores(attention, query, states) -> np.ndarray:
    """The sums over bfloat16 factors, in float64."""
    keys = attention.keys(states)
    if isinstance(attention, MultiplicativeAttention):
        return np.einsum("bd,bsd->bs", np.asarray(query, np.float64), np.asarray(keys, np.float64))
    hidden = jnp.tanh(attention.of_query(query)[:, None] + keys)
    kernel = attention.score.variables["params"]["kernel"][:, 0].astype(jnp.bfloat16)
    return np.asarray(hidden, np.float64) @ np.asarray(kernel, np.float64)
