"""Sinusoids and rotary positions by their formulas and by what they are for: only differences matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.layers.positions import rotated, sinusoidal


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoidal(jnp.arange(50), 16)
    for position in (0, 1, 49):
        for i in range(8):
            angle = position / 10_000 ** (2 * i / 16)
            # Angles up to 49 in float32 are good to 4e-6.
            np.testing.assert_allclose(table[position, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-5)


@given(query=st.integers(0, 50), key=st.integers(0, 50), shift=st.integers(0, 200), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=30)
def test_rotary_products_depend_on_the_difference_of_positions_alone(
    query: int, key: int, shift: int, seed: int
) -> None:
    q, k = jax.random.normal(jax.random.key(seed), (2, 1, 1, 1, 8))

    def product(i: int, j: int) -> jax.Array:
        return (rotated(q, jnp.array([i])) * rotated(k, jnp.array([j]))).sum()

    # Angles up to 250 in float32 are good to 2e-5, products to a few times that.
    np.testing.assert_allclose(product(query, key), product(query + shift, key + shift), atol=5e-4)


def test_a_turn_keeps_lengths_and_starts_at_nothing() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 6))
    turned = rotated(x)
    np.testing.assert_array_equal(turned[:, :, 0], x[:, :, 0])
    np.testing.assert_allclose(jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)
    assert rotated(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.compare
def test_turns_are_those_of_llama() -> None:
    pytest.importorskip("transformers")
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    q, k = jax.random.normal(jax.random.key(0), (2, 2, 3, 7, 8))
    angles = torch.arange(7)[:, None] * 10_000.0 ** (-torch.arange(0, 8, 2) / 8)
    angles = torch.cat([angles, angles], -1)[None]
    theirs = apply_rotary_pos_emb(*(torch.tensor(np.asarray(x)) for x in (q, k)), angles.cos(), angles.sin())
    for ours, other in zip((q, k), theirs, strict=True):
        np.testing.assert_allclose(rotated(ours), other, atol=2e-6)  # float32 rounding of numbers of order 1


def test_an_odd_width_is_an_error() -> None:
    with pytest.raises(ValueError, match="a width of 7 is odd"):
        sinusoidal(jnp.arange(3), 7)
