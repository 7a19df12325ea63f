import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.training.packed_sums import fetched, packed


def test_packed_sums_are_those_that_went_in() -> None:
    """Also of a program, of several steps and of members."""

    def step(state, k):
        sums = {"loss": (state + k, jnp.ones(3)), "right": (k * jnp.arange(3), jnp.full(3, 7, jnp.int32))}
        return state + 1, packed(sums)

    _, found = jax.jit(lambda: jax.lax.scan(step, jnp.zeros(3), jnp.arange(5)))()
    assert list(found) == ["loss", "right"] and len(found) == 2 and "accuracy" not in found
    steps = np.arange(5)[:, None]
    np.testing.assert_array_equal(found["loss"], np.broadcast_arrays(2 * steps + np.zeros(3), 1.0))
    np.testing.assert_array_equal(found["right"], np.broadcast_arrays(steps * np.arange(3), 7))
    with pytest.raises(KeyError, match="accuracy"):
        found["accuracy"]


@pytest.mark.parametrize("per_call", [1, 3])
def test_fetched_sums_are_those_of_all_steps_in_order(per_call: int) -> None:
    calls = jnp.arange(6.0) if per_call == 1 else jnp.arange(6.0).reshape(-1, per_call)
    found = fetched([packed({"loss": (call, jnp.ones_like(call))}) for call in calls], per_call)
    np.testing.assert_array_equal(found["loss"], (np.arange(6), np.ones(6)))
