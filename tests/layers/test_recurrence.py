"""LSTM and GRU against PyTorch; carries, lengths, both directions, dropout, bfloat16."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.recurrence import _GRU, _LSTM, GRU, LSTM, Stack, orthogonal_gates
from dlvr_jax.layers.through_time import Cell, Weights, through_time, where_rows
from tests.initialised import initialised

BATCH, LENGTH, INPUTS, FEATURES = 3, 7, 5, 4
F32 = dict(rtol=1e-5, atol=1e-6)  # numbers of order 1, sums in another order, through a few steps
KINDS = (LSTM, GRU)
every_kind = pytest.mark.parametrize("kind", KINDS)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def steps() -> jax.Array:
    return jnp.asarray(normal(0, BATCH, LENGTH, INPUTS))


@cache
def layer_of(kind, **arguments):
    """A layer and random parameters, biases too."""
    layer = kind(FEATURES, **arguments)
    variables = jax.device_get(jax.jit(layer.init)(jax.random.key(1), steps()))
    return layer, jax.tree.map(lambda leaf: leaf + 0.5 * normal(leaf.size, *leaf.shape), variables)


@partial(jax.jit, static_argnums=0)
def apply(layer, *inputs):
    return layer.apply(*inputs)


def random_carry(layer):
    return jax.tree.map(lambda leaf: jnp.asarray(normal(2, *leaf.shape)), layer.initial_carry(BATCH))


@every_kind
@pytest.mark.parametrize(("cut", "reverse"), [(1, False), (4, False), (4, True)])
def test_two_windows_with_a_carry_are_one_long_window(kind, cut: int, reverse: bool) -> None:
    layer, variables = layer_of(kind, reverse=reverse)
    whole, last = apply(layer, variables, steps(), random_carry(layer))
    parts = [steps()[:, :cut], steps()[:, cut:]]
    carry, found = random_carry(layer), {}
    for place in (1, 0) if reverse else (0, 1):
        found[place], carry = apply(layer, variables, parts[place], carry)
    np.testing.assert_allclose(np.concatenate([found[0], found[1]], 1), whole, **F32)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), carry, last)


@every_kind
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_changes_nothing(kind, reverse: bool) -> None:
    layer, variables = layer_of(kind, reverse=reverse)
    lengths = np.array([LENGTH, 3, 1])
    hidden, carry = jax.device_get(apply(layer, variables, steps(), random_carry(layer), lengths))
    real = np.arange(LENGTH) < lengths[:, None]
    noisy = np.where(real[..., None], steps(), np.float32(1e3))
    again, carry_again = apply(layer, variables, noisy, random_carry(layer), lengths)
    np.testing.assert_array_equal(hidden, again)
    jax.tree.map(np.testing.assert_array_equal, carry, carry_again)
    np.testing.assert_array_equal(hidden[~real], 0)
    alone, last = apply(layer, variables, steps()[:, :3], random_carry(layer))
    np.testing.assert_allclose(hidden[1, :3], alone[1], **F32)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b[1], **F32), carry, last)


@every_kind
def test_reverse_is_the_layer_on_the_reversed_row(kind) -> None:
    layer, variables = layer_of(kind)
    backwards, last = apply(kind(FEATURES, reverse=True), variables, steps())
    hidden, expected = apply(layer, variables, steps()[:, ::-1])
    np.testing.assert_allclose(backwards, hidden[:, ::-1], **F32)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), last, expected)


def scanned(cell: Cell, reverse: bool, weights: Weights, carry, x, mask):
    """The recurrence as a plain scan, float32, which JAX differentiates."""

    def step(before, item):
        x, shown = item
        bias = 0 if weights.recurrent_bias is None else weights.recurrent_bias
        gates = cell.gates(x @ weights.input + weights.bias, cell.hidden(before) @ weights.recurrent + bias)
        after = cell.step(gates, before)
        return where_rows(shown, after, before), jnp.where(shown[:, None], cell.hidden(after), 0)

    mask = jnp.ones(x.shape[:2], bool) if mask is None else mask
    after, hidden = jax.lax.scan(step, carry, (x, mask), reverse=reverse)
    return hidden, after


@every_kind
@pytest.mark.parametrize("lengths", [None, (LENGTH, 3, 0)])
@pytest.mark.parametrize(("reverse", "dtype"), [(False, "float32"), (True, "float32"), (False, "bfloat16")])
def test_gradients_through_time_are_those_of_a_scan(kind, lengths, reverse: bool, dtype: str) -> None:
    cell, biases = (_LSTM, 1) if kind is LSTM else (_GRU, 2)
    gates = (4 if kind is LSTM else 3) * FEATURES
    shapes = ((INPUTS, gates), (FEATURES, gates), (gates,), (gates,))[: 2 + biases]
    weights = Weights(*(0.5 * normal(seed, 2, *shape) for seed, shape in enumerate(shapes)))
    carry = jax.tree.map(lambda leaf: np.stack([leaf, -leaf]), random_carry(kind(FEATURES)))
    mask = None if lengths is None else jnp.arange(LENGTH)[:, None] < jnp.array(lengths)

    def gradients(run, dtype, weights, carry):  # of one member of a population
        def loss(weights, carry, x):
            arithmetic = weights._replace(input=weights.input.astype(dtype), recurrent=weights.recurrent.astype(dtype))
            hidden, after = run(cell, reverse, arithmetic, carry, x.astype(dtype), mask)
            return jnp.sum(jnp.sin(hidden)) + sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(after))

        return jax.grad(loss, (0, 1, 2))(weights, carry, steps().swapaxes(0, 1))

    ours = jax.jit(jax.vmap(partial(gradients, through_time, dtype)))(weights, carry)
    plain = jax.jit(jax.vmap(partial(gradients, scanned, "float32")))(weights, carry)
    # Sums over rows and steps in another order; of numbers with 8 bits.
    close = dict(rtol=1e-4, atol=1e-5) if dtype == "float32" else dict(rtol=0.1, atol=0.1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), ours, plain)


def test_rows_are_taken_from_one_or_the_other() -> None:
    old, new = (jnp.ones((3, 2)), jnp.ones((3, 2, 2))), (jnp.zeros((3, 2)), jnp.full((3, 2, 2), 5.0))
    vector, matrix = where_rows(jnp.array([True, False, True]), new, old)
    np.testing.assert_array_equal(vector, [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(matrix[:, 0, 0], [5, 1, 5])


def test_parameters_start_as_the_docstrings_say() -> None:
    kernel = orthogonal_gates(3)(jax.random.key(0), (6, 18))
    for gate in jnp.split(kernel, 3, -1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-5)  # f32, and the gates are not alike
    assert not np.allclose(kernel[:, :6], kernel[:, 6:12])
    params = jax.jit(LSTM(FEATURES, forget_bias=2.0).init)(jax.random.key(0), steps())["params"]
    np.testing.assert_array_equal(params["bias"].reshape(4, FEATURES)[:, 0], [0, 2, 0, 0])
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 4 * FEATURES * (INPUTS + FEATURES + 1)
    params = jax.jit(GRU(FEATURES).init)(jax.random.key(0), steps())["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == FEATURES * (3 * INPUTS + 3 * FEATURES + 4)


@every_kind
def test_bfloat16_arithmetic_keeps_carry_and_parameters_float32(kind) -> None:
    layer, variables = layer_of(kind, dtype=jnp.bfloat16)
    hidden, carry = apply(layer, variables, steps())
    assert hidden.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((carry, variables))} == {jnp.dtype("float32")}
    plain, _ = apply(kind(FEATURES), variables, steps())
    np.testing.assert_allclose(hidden.astype(jnp.float32), plain, atol=0.05)  # 8 bits of mantissa, some steps


def test_a_stack_feeds_each_layer_with_the_one_below() -> None:
    stack = Stack((LSTM(FEATURES), LSTM(6)))
    variables = initialised(stack, steps())
    hidden, carry = jax.jit(partial(stack.apply, train=False))(variables, steps())
    below, first = apply(LSTM(FEATURES), {"params": variables["params"]["layers_0"]}, steps())
    above, second = apply(LSTM(6), {"params": variables["params"]["layers_1"]}, below)
    np.testing.assert_array_equal(hidden, above)
    jax.tree.map(np.testing.assert_array_equal, carry, (first, second))
    assert jax.tree.map(jnp.shape, carry) == jax.tree.map(jnp.shape, stack.initial_carry(BATCH))


def test_dropout_acts_in_training_only_and_takes_traced_rates() -> None:
    stack = Stack((GRU(FEATURES), GRU(FEATURES)))
    variables = initialised(stack, steps())

    def hidden(rate):
        return stack.apply(variables, steps(), train=True, dropout=rate, rngs={"dropout": jax.random.key(3)})[0]

    kept, dropped, gone = jax.device_get(jax.jit(jax.vmap(hidden))(np.float32([0.0, 0.5, 1.0])))
    plain = jax.jit(partial(stack.apply, train=False, dropout=0.5))(variables, steps())[0]
    np.testing.assert_allclose(kept, plain, **F32)
    assert 0.2 < (dropped == 0).mean() < 0.8
    np.testing.assert_array_equal(gone, 0)


@pytest.mark.compare
@every_kind
@pytest.mark.parametrize("reverse", [False, True])
def test_it_is_that_of_pytorch(kind, reverse: bool) -> None:
    torch = pytest.importorskip("torch")
    layer, variables = layer_of(kind, reverse=reverse)
    params, gates = variables["params"], 4 if kind is LSTM else 3
    theirs = getattr(torch.nn, kind.__name__)(INPUTS, FEATURES, batch_first=True)
    hidden_bias = np.zeros(gates * FEATURES, np.float32)
    if kind is GRU:  # of two biases of a gate only the candidate's second one is not the same as the first
        hidden_bias[2 * FEATURES :] = params["recurrent_bias"]
    values = (params["input"].T, params["recurrent"].T, params["bias"], hidden_bias)
    with torch.no_grad():
        for target, value in zip(theirs.parameters(), values, strict=True):
            target.copy_(torch.tensor(np.array(value)))
    carry = random_carry(layer)
    x = steps()[:, ::-1] if reverse else steps()
    expected, last = theirs(torch.tensor(np.array(x)), jax.tree.map(lambda c: torch.tensor(np.array(c))[None], carry))
    expected.square().sum().backward()
    expected, hidden_last = expected.detach().numpy(), jax.tree.map(lambda c: c.detach().numpy()[0], last)

    hidden, found = apply(layer, variables, steps(), carry)
    np.testing.assert_allclose(hidden[:, ::-1] if reverse else hidden, expected, **F32)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **F32), found, hidden_last)
    gradient = jax.grad(lambda p: jnp.square(layer.apply({"params": p}, steps(), carry)[0]).sum())(params)
    for name, parameter in (("input", theirs.weight_ih_l0), ("recurrent", theirs.weight_hh_l0)):
        # Sums over all rows and steps.
        np.testing.assert_allclose(gradient[name].T, parameter.grad.numpy(), rtol=1e-4, atol=1e-5)
