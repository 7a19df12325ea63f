"""A convolution as one product of matrices: patches of the input, laid side by side, times the kernel.

For convolutions inside a loop (Langevin steps), where XLA's own is several times slower on CPUs. It costs memory: each
input number is copied as often as windows hold it.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def convolution_by_patches(
    inputs: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels maps"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int] = (1, 1),
    rhs_dilation: Sequence[int] = (1, 1),
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> Float[Array, "batch _ _ maps"]:
    """What `lax.conv_general_dilated` gives for images, in Flax's layout: for `nn.Conv(conv_general_dilated=...)`.

    Raises:
        ValueError: dilations or groups, which it does not know.
    """
    if {*lhs_dilation, *rhs_dilation, feature_group_count} != {1}:
        raise ValueError("a convolution by patches has neither dilations nor groups")
    rows, columns, channels, maps = kernel.shape
    down, right = window_strides
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], (rows, columns), (down, right), padding)
    x = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    height, width = (x.shape[1] - rows) // down + 1, (x.shape[2] - columns) // right + 1
    windows = [
        x[:, i : i + down * (height - 1) + 1 : down, j : j + right * (width - 1) + 1 : right]
        for i in range(rows)
        for j in range(columns)
    ]
    patches = jnp.concatenate(windows, axis=-1).reshape(-1, rows * columns * channels)
    return jnp.matmul(patches, kernel.reshape(-1, maps), precision=precision).reshape(-1, height, width, maps)
