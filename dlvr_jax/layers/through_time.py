"""A recurrence and its back-propagation through time, with the gradients of its matrices taken after the loop.

Differentiated as it stands, a scan adds every step's share to the gradients of its matrices, which go through memory
once a step. Here the loop backwards only keeps the gradients of what the gates are made of; those of the matrices are
one product over all steps each: Appleyard et al. 2016, https://arxiv.org/abs/1604.01946.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

Steps = Float[Array, "time batch inputs"]
Real = Bool[Array, "time batch"]


class Weights(NamedTuple):
    """x[t] `input` + `bias` and h[t-1] `recurrent` + `recurrent_bias` are what the gates are made of."""

    input: Float[Array, "inputs gates"]  # the matrices in the dtype of the arithmetic, the biases float32
    recurrent: Float[Array, "features gates"]
    bias: Float[Array, " gates"]
    recurrent_bias: Float[Array, " gates"] | None = None


class Cell(NamedTuple):
    """One step of a recurrence, in float32."""

    sums: Callable[[Array, Array], PyTree]  # what its two parts, from x and from h, come to; linear
    step: Callable[[PyTree, PyTree], PyTree]  # those and the carry to the next carry
    hidden: Callable[[PyTree], Array]  # the h of a carry


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def through_time(
    cell: Cell, reverse: bool, weights: Weights, carry: PyTree, x: Steps, real: Real | None
) -> tuple[Float[Array, "time batch features"], PyTree]:
    """h of every step in the dtype of `x`, and the carry after the last one; from the end with `reverse`.

    Steps that are not `real` give zeros and leave the carry as it was.
    """

    def step(before: PyTree, item: tuple[Array, Array | None]) -> tuple[PyTree, Array]:
        now, real = item
        return _step(cell, _sums(cell, weights, before, now), before, real, x.dtype)

    after, hidden = jax.lax.scan(step, carry, (x, real), reverse=reverse)
    return hidden, after


def _forward(
    cell: Cell, reverse: bool, weights: Weights, carry: PyTree, x: Steps, real: Real | None
) -> tuple[tuple[Array, PyTree], Any]:
    def step(before: PyTree, item: tuple[Array, Array | None]) -> tuple[PyTree, Any]:
        now, real = item
        sums = _sums(cell, weights, before, now)
        after, hidden = _step(cell, sums, before, real, x.dtype)
        return after, (hidden, sums, before)

    after, (hidden, sums, before) = jax.lax.scan(step, carry, (x, real), reverse=reverse)
    return (hidden, after), (weights, x, real, sums, before)


def _backward(cell: Cell, reverse: bool, saved: Any, gradients: tuple[Array, PyTree]) -> tuple[Any, ...]:
    weights, x, real, sums, before = saved
    recurrent = jax.lax.optimization_barrier(weights.recurrent.T)  # once, not in every step

    def step(d_after: PyTree, item: tuple[Any, ...]) -> tuple[PyTree, PyTree]:
        d_hidden, sums, before, real = item
        _, pull = jax.vjp(lambda sums, before: _step(cell, sums, before, real, x.dtype), sums, before)
        d_sums, d_before = pull((d_after, d_hidden))
        _, from_h = _parts(cell, weights, d_sums)
        _, pull = jax.vjp(cell.hidden, before)
        (through_h,) = pull((from_h.astype(x.dtype) @ recurrent).astype(from_h.dtype))
        return jax.tree.map(jnp.add, d_before, through_h), d_sums

    d_hidden, d_after = gradients
    d_carry, d_sums = jax.lax.scan(step, d_after, (d_hidden, sums, before, real), reverse=not reverse)
    from_x, from_h = _parts(cell, weights, d_sums)
    over_steps = partial(jnp.einsum, "tbi,tbg->ig")
    d_weights = Weights(
        over_steps(x, from_x.astype(x.dtype)),
        over_steps(cell.hidden(before).astype(x.dtype), from_h.astype(x.dtype)),
        from_x.sum((0, 1)),
        None if weights.recurrent_bias is None else from_h.sum((0, 1)),
    )
    return d_weights, d_carry, from_x.astype(x.dtype) @ weights.input.T, None


def _parts(cell: Cell, weights: Weights, d_sums: PyTree) -> tuple[Array, Array]:
    """The gradients of what `cell.sums` came from."""
    batch = jax.tree.leaves(d_sums)[0].shape[:-1]
    like = jax.ShapeDtypeStruct((*batch, weights.recurrent.shape[1]), jnp.float32)
    return tuple(jax.linear_transpose(cell.sums, like, like)(d_sums))


through_time.defvjp(_forward, _backward)


def _sums(cell: Cell, weights: Weights, carry: PyTree, x: Float[Array, "batch inputs"]) -> PyTree:
    # Not over all steps at once, before the loop: on a CPU the sums of all gates would go through memory twice.
    from_x = (x @ weights.input).astype(jnp.float32) + weights.bias
    from_h = (cell.hidden(carry).astype(x.dtype) @ weights.recurrent).astype(jnp.float32)
    return cell.sums(from_x, from_h if weights.recurrent_bias is None else from_h + weights.recurrent_bias)


def _step(
    cell: Cell, sums: PyTree, before: PyTree, real: Bool[Array, " batch"] | None, dtype: Any
) -> tuple[PyTree, Array]:
    """The carry after a step, and what it gives."""
    after = cell.step(sums, before)
    hidden = cell.hidden(after).astype(dtype)
    if real is None:
        return after, hidden
    return restarted(after, before, ~real), jnp.where(real[:, None], hidden, 0)


def restarted(carry: PyTree, first: PyTree, reset: Bool[Array, " batch"]) -> PyTree:
    """`carry` with `first` in the rows that start anew."""
    return jax.tree.map(lambda old, new: jnp.where(_rows(reset, old), new, old), carry, first)


def _rows(flags: Bool[Array, " batch"], leaf: Array) -> Bool[Array, "..."]:
    return flags.reshape(-1, *(1,) * (leaf.ndim - 1))
