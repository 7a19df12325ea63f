"""Affine layers on the last axis, quick on CPUs whatever axes stand before.

The gradient by the kernel is x^T dy, summed over all rows. Where the rows are two axes, as the tokens of a batch are,
XLA's CPU compiler writes dy transposed and then reads both operands across their rows, which takes 3 times as long as
the same product over one axis of rows. So they are laid into one before the product.
"""

from functools import partial
from typing import Any

import flax.linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.computed_once import computed_once


def product(
    x: Float[Array, "*rows inputs"],
    kernel: Float[Array, "inputs outputs"],
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
) -> Float[Array, "*rows outputs"]:
    """x kernel. The last three are those of `lax.dot_general`, in whose place Flax's layers call this.

    Raises:
        ValueError: the dimension numbers ask for another product.
    """
    if dimension_numbers not in (None, (((x.ndim - 1,), (0,)), ((), ()))):
        raise ValueError(f"dimension_numbers = {dimension_numbers}: only the last axis of x by the first of the kernel")
    rows = x.reshape(-1, x.shape[-1])
    y = lax.dot(rows, kernel, precision=precision, preferred_element_type=preferred_element_type)
    return computed_once(y).reshape(*x.shape[:-1], kernel.shape[-1])


Dense = partial(nn.Dense, dot_general=product)
