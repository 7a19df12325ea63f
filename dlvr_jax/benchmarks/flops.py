"""Floating-point operations, counted from a jaxpr with its loops multiplied. XLA's own count takes a scan for one step.

What counts, a multiply-add as two:

- matrix products and convolutions. A convolution multiplies its kernel only with elements that are there, not with
  those that padding or dilation put in; so it and both of its gradients count alike, as in XLA's own count. (Papers
  count padding too, and often a multiply-add as one.)
- every other operation that makes floating-point numbers: one for each number made, `exp` and `tanh` too; reductions,
  windows and scattered additions: one for each number that goes in; a Fourier transform: 5 n log2(n).

What does not: moving, choosing, comparing and converting numbers, whole numbers (random bits too), sorting.

Of a `while`, whose length is unknown, one turn counts; of a `cond`, the dearest branch, and of
`lax.platform_dependent`, the default. `lax.fori_loop` with fixed bounds and `lax.map` are scans. Matrix factorisations
count as one operation a number made, far too few.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from dlvr_jax.equations import subprograms

# Floating-point numbers come out, but nothing is computed.
_FREE = frozenset(
    {
        "bitcast_convert_type",
        "broadcast_in_dim",
        "concatenate",
        "convert_element_type",
        "copy",
        "copy_p",
        "device_put",
        "dynamic_slice",
        "dynamic_update_slice",
        "expand_dims",
        "gather",
        "iota",
        "mesh_cast",
        "optimization_barrier",
        "pad",
        "pbroadcast",
        "pvary",
        "reduce_precision",
        "reshape",
        "reshard",
        "rev",
        "scatter",
        "select_n",
        "sharding_constraint",
        "slice",
        "sort",
        "split",
        "squeeze",
        "stop_gradient",
        "tile",
        "top_k",
        "transpose",
        "unstack",
    }
)


def count_flops(jaxpr: ClosedJaxpr) -> int:
    """The floating-point operations of one call of a program, `jax.make_jaxpr(f)(*arguments)`."""
    return _count(jaxpr.jaxpr)


def _count(jaxpr: Jaxpr) -> int:
    return sum(_count_one(equation) for equation in jaxpr.eqns)


def _count_one(equation: Any) -> int:
    name, parts = equation.primitive.name, equation.params
    if name in _RULES:
        return _RULES[name](equation)
    if name in _FREE:
        return 0
    if name == "scan":
        return parts["length"] * _count(parts["jaxpr"].jaxpr)
    if name == "cond" and parts.get("branches_platforms"):  # the last one is the default
        return _count(parts["branches"][-1].jaxpr)
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in parts["branches"])
    if name == "shard_map":  # its body sees one device's share
        return parts["mesh"].size * _count(parts["jaxpr"])
    inner = list(subprograms(parts.values()))
    return sum(map(_count, inner)) if inner else _made(equation)


def _made(equation: Any) -> int:
    """One for each floating-point number made."""
    return sum(out.aval.size for out in equation.outvars if _is_floating(out))


def _is_floating(variable: Any) -> bool:
    return hasattr(variable.aval, "dtype") and jnp.issubdtype(variable.aval.dtype, jnp.inexact)


def _operand(number: int) -> Callable[[Any], int]:
    """One for each floating-point number of an operand."""
    return lambda equation: equation.invars[number].aval.size if _is_floating(equation.invars[number]) else 0


def _window(number: int) -> Callable[[Any], int]:
    """One for each number in the window, for each window that an operand or result (`number` -1) stands for."""

    def rule(equation: Any) -> int:
        variable = equation.outvars[0] if number < 0 else equation.invars[number]
        return variable.aval.size * math.prod(equation.params["window_dimensions"])

    return rule


def _dot_general(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)


def _convolution(equation: Any) -> int:
    """2 x batch x output features x input features of a group x pairs of output and kernel place that meet."""
    parts, (left, right) = equation.params, (variable.aval.shape for variable in equation.invars)
    out, places = equation.outvars[0].aval.shape, parts["dimension_numbers"]
    pairs = 1
    for axis, (low, _) in enumerate(parts["padding"]):
        pairs *= _meeting(
            left[places.lhs_spec[2 + axis]],
            right[places.rhs_spec[2 + axis]],
            out[places.out_spec[2 + axis]],
            parts["window_strides"][axis],
            low,
            parts["lhs_dilation"][axis],
            parts["rhs_dilation"][axis],
        )
    return 2 * out[places.out_spec[0]] * out[places.out_spec[1]] * right[places.rhs_spec[1]] * pairs


def _meeting(size: int, kernel: int, out: int, stride: int, low: int, spread: int, dilation: int) -> int:
    """Along one axis: pairs of output and kernel place that meet an element of the input, no border or hole."""
    count = 0
    for tap in range(kernel):
        places = range(tap * dilation - low, tap * dilation - low + out * stride, stride)
        count += sum(place % spread == 0 and 0 <= place // spread < size for place in places)
    return count


def _fft(equation: Any) -> int:
    size = math.prod(equation.params["fft_lengths"])
    numbers = max(variable.aval.size for variable in (*equation.invars, *equation.outvars))
    return round(5 * numbers * math.log2(size)) if size > 1 else 0


def _over(names: Sequence[str], rule: Callable[[Any], int]) -> dict[str, Callable[[Any], int]]:
    return dict.fromkeys(names, rule)


_RULES: dict[str, Callable[[Any], int]] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "fft": _fft,
    **_over(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin"), _operand(0)),
    "reduce": _operand(0),
    **_over(("scatter-add", "scatter-mul", "scatter-min", "scatter-max", "scatter_add", "scatter_mul"), _operand(2)),
    **_over(("reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min"), _window(-1)),
    **_over(("select_and_scatter_add", "select_and_scatter"), _window(0)),
    "select_and_gather_add": _window(-1),
}
