"""Elman's network against PyTorch's, its truncation by gradients, its shapes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.models.rnn.elman import Elman
from tests.initialised import initialised, uneven


def history_of(length: int = 9, batch: int = 3, channels: int = 2) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((batch, length, channels), np.float32))


def variables_of(model: Elman, history: jax.Array):
    """With biases that are not zero."""
    return uneven(initialised(model, history))


def test_it_has_the_parameters_of_the_formula() -> None:
    params = initialised(Elman(7, width=32), history_of(channels=1))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 32 * 1 + 32 + 32 * 32 + 32 * 7 + 7


@pytest.mark.compare
def test_it_is_torch_rnn() -> None:
    torch = pytest.importorskip("torch")
    history, model = history_of(), Elman(4, width=5)
    variables = variables_of(model, history)
    params = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), variables["params"])
    rnn = torch.nn.RNN(2, 5, nonlinearity="tanh", batch_first=True)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(params["input"]["kernel"].T)
        rnn.bias_ih_l0.copy_(params["input"]["bias"])
        rnn.weight_hh_l0.copy_(params["recurrent"].T)
        rnn.bias_hh_l0.zero_()
        _, last = rnn(torch.tensor(np.array(history)))
        expected = last[0] @ params["output"]["kernel"] + params["output"]["bias"]
    # Nine steps of sums of five terms, in another order: f32 rounding.
    np.testing.assert_allclose(model.apply(variables, history, train=False), expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("truncate", [1, 4, 8, 9, 20])
def test_gradients_go_back_as_many_steps_as_they_should(truncate: int) -> None:
    history = history_of()
    whole, cut = Elman(4, width=5), Elman(4, width=5, truncate=truncate)
    variables = variables_of(whole, history)
    np.testing.assert_array_equal(
        whole.apply(variables, history, train=False), cut.apply(variables, history, train=False)
    )

    def by_step(model: Elman) -> np.ndarray:
        gradient = jax.jit(jax.grad(lambda x: jnp.sin(model.apply(variables, x, train=False)).sum()))(history)
        return np.abs(gradient).max((0, 2))

    reached = by_step(cut) > 0
    np.testing.assert_array_equal(reached, np.arange(9) >= 9 - truncate)
    np.testing.assert_allclose(by_step(cut)[reached], by_step(whole)[reached], rtol=1e-6)


def test_truncation_leaves_out_what_lies_further_back() -> None:
    """The gradient of U with one step: as if the state before it were data."""
    history, model = history_of(length=4), Elman(4, width=5, truncate=1)
    variables = variables_of(model, history)

    def loss(params, model: Elman) -> jax.Array:
        return jnp.square(model.apply({"params": params}, history, train=False)).sum()

    def by_hand(params) -> jax.Array:
        state = jnp.zeros((3, 5))
        for t in range(4):
            before = jax.lax.stop_gradient(state) if t == 3 else state
            inputs = history[:, t] @ params["input"]["kernel"] + params["input"]["bias"]
            state = jnp.tanh(inputs + before @ params["recurrent"])
        return jnp.square(state @ params["output"]["kernel"] + params["output"]["bias"]).sum()

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    found, expected = gradient(variables["params"], model), jax.jit(jax.grad(by_hand))(variables["params"])
    whole = gradient(variables["params"], Elman(4, width=5))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)
    assert not np.allclose(found["recurrent"], whole["recurrent"], rtol=1e-2)


def test_bfloat16_and_dropout() -> None:
    history, model = history_of(), Elman(4, width=5, dtype=jnp.bfloat16)
    variables = variables_of(model, history)
    dropped = jax.jit(partial(model.apply, train=True, rngs={"dropout": jax.random.key(0)}))
    forecast = dropped(variables, history, dropout=0.5)
    assert forecast.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    gone = dropped(variables, history, dropout=1.0)
    np.testing.assert_array_equal(gone, np.broadcast_to(variables["params"]["output"]["bias"], gone.shape))
