"""A recurrence and its back-propagation through time, with the gradients of its matrices taken after the loop.

Differentiated as it stands, a scan adds every step's share to the gradients of its matrices, which go through memory
once a step. Here the loop backwards only keeps the gradients of what the gates are made of; those of the matrices are
one product over all steps each: Appleyard et al. 2016, https://arxiv.org/abs/1604.01946. Reverse mode only.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PyTree

Steps = Float[Array, "time batch inputs"]
Mask = Bool[Array, "time batch"]


class Weights(NamedTuple):
    """The two parts that the gates are made of: x[t] `input` + `bias`, and h[t-1] `recurrent` + `recurrent_bias`."""

    input: Float[Array, "inputs gates"]  # the matrices in the dtype of the arithmetic, the biases float32
    recurrent: Float[Array, "features gates"]
    bias: Float[Array, " gates"]
    recurrent_bias: Float[Array, " gates"] | None = None


class Cell(NamedTuple):
    """One step of a recurrence, float32. `gates` and `hidden` also take steps with the time as an axis in front."""

    gates: Callable[[Array, Array], PyTree]  # of the two parts, before the activations; linear
    step: Callable[[PyTree, PyTree], PyTree]  # gates and carry to the next carry
    hidden: Callable[[PyTree], Array]  # the h of a carry


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def through_time(
    cell: Cell, reverse: bool, weights: Weights, carry: PyTree, x: Steps, mask: Mask | None
) -> tuple[Float[Array, "time batch features"], PyTree]:
    """h of every step in the dtype of `x`, and the carry after the last one; from the end with `reverse`.

    Steps that the mask hides give zeros and leave the carry as it was.
    """

    def step(before: PyTree, item: tuple[Array, Array | None]) -> tuple[PyTree, Array]:
        now, shown = item
        return _step(cell, _gates(cell, weights, before, now), before, shown, x.dtype)

    after, hidden = jax.lax.scan(step, carry, (x, mask), reverse=reverse)
    return hidden, after


def _forward(
    cell: Cell, reverse: bool, weights: Weights, carry: PyTree, x: Steps, mask: Mask | None
) -> tuple[tuple[Array, PyTree], Any]:
    def step(before: PyTree, item: tuple[Array, Array | None]) -> tuple[PyTree, Any]:
        now, shown = item
        gates = _gates(cell, weights, before, now)
        after, hidden = _step(cell, gates, before, shown, x.dtype)
        return after, (hidden, gates, before)

    after, (hidden, gates, before) = jax.lax.scan(step, carry, (x, mask), reverse=reverse)
    return (hidden, after), (weights, x, mask, gates, before)


def _backward(cell: Cell, reverse: bool, saved: Any, gradients: tuple[Array, PyTree]) -> tuple[Any, ...]:
    weights, x, mask, gates, before = saved
    transposed = jax.lax.optimization_barrier(weights.recurrent.T)  # once, not in every step

    def step(d_after: PyTree, item: tuple[Any, ...]) -> tuple[PyTree, PyTree]:
        d_hidden, gates, before, shown = item
        _, pull = jax.vjp(lambda gates, before: _step(cell, gates, before, shown, x.dtype), gates, before)
        d_gates, d_before = pull((d_after, d_hidden))
        _, from_h = _parts(cell, weights, d_gates)
        _, pull = jax.vjp(cell.hidden, before)
        (through_h,) = pull((from_h.astype(x.dtype) @ transposed).astype(from_h.dtype))
        return jax.tree.map(jnp.add, d_before, through_h), d_gates

    d_hidden, d_after = gradients
    d_carry, d_gates = jax.lax.scan(step, d_after, (d_hidden, gates, before, mask), reverse=not reverse)
    from_x, from_h = _parts(cell, weights, d_gates)
    over_steps = partial(jnp.einsum, "tbi,tbg->ig")
    d_weights = Weights(
        over_steps(x, from_x.astype(x.dtype)),
        over_steps(cell.hidden(before).astype(x.dtype), from_h.astype(x.dtype)),
        from_x.sum((0, 1)),
        None if weights.recurrent_bias is None else from_h.sum((0, 1)),
    )
    return d_weights, d_carry, from_x.astype(x.dtype) @ weights.input.T, None


through_time.defvjp(_forward, _backward)


def where_rows(rows: Bool[Array, " batch"], new: PyTree, old: PyTree) -> PyTree:
    """`new` in these rows, `old` in the others; each leaf of both has the rows in front."""

    def chosen(new: Array, old: Array) -> Array:
        return jnp.where(rows.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(chosen, new, old)


def _gates(cell: Cell, weights: Weights, carry: PyTree, x: Float[Array, "batch inputs"]) -> PyTree:
    # Not over all steps at once, before the loop: on a CPU the gates would go through memory twice.
    from_x = (x @ weights.input).astype(jnp.float32) + weights.bias
    from_h = (cell.hidden(carry).astype(x.dtype) @ weights.recurrent).astype(jnp.float32)
    return cell.gates(from_x, from_h if weights.recurrent_bias is None else from_h + weights.recurrent_bias)


def _parts(cell: Cell, weights: Weights, d_gates: PyTree) -> tuple[Array, Array]:
    """The gradients of the two parts."""
    axes = jax.tree.leaves(d_gates)[0].shape[:-1]
    like = jax.ShapeDtypeStruct((*axes, weights.recurrent.shape[1]), jnp.float32)
    return tuple(jax.linear_transpose(cell.gates, like, like)(d_gates))


def _step(
    cell: Cell, gates: PyTree, before: PyTree, shown: Bool[Array, " batch"] | None, dtype: DTypeLike
) -> tuple[PyTree, Array]:
    """The carry after a step, and its h."""
    after = cell.step(gates, before)
    hidden = cell.hidden(after).astype(dtype)
    if shown is None:
        return after, hidden
    return where_rows(shown, after, before), jnp.where(shown[:, None], hidden, 0)
