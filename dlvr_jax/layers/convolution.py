"""Convolutions of pictures, quick on CPUs wherever they stand, and so are their derivatives of every order.

<y, conv(x, k)> is linear in x, in y and in the kernel k. So the gradients of conv, of its transpose (the gradient by x)
and of the third (the gradient by k) are these three once more; all are written in the one layout that XLA's fast
convolution on CPUs takes. JAX's own rules lead to other layouts, which XLA brings into that one only outside of loops:
inside (members of a population by `map`, micro-batches, several steps a call, Langevin steps) a gradient took 3 to 50
times as long. And they lead to windows as large as the picture over dilated inputs: the kernel's gradient of a
transposed convolution took 25 times as long, the gradient of a gradient penalty 10 times.

Other devices have libraries that know JAX's own rules.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.column_blocks import ColumnBlocks

Shape = tuple[int, ...]
Strides = tuple[int, ...]
Bilinear = Callable[[Array, Array], Array]
Pads = tuple[tuple[int, int], ...]  # zeroes before and behind, of rows and of columns
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(
    x: Float[Array, "batch height width inputs"],
    kernel: Float[Array, "rows columns _ outputs"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int] = (1, 1),
    rhs_dilation: Sequence[int] = (1, 1),
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> Float[Array, "batch _ _ outputs"]:
    """What `lax.conv_general_dilated` gives for pictures in Flax's layout. Dilations and groups are left to it."""
    plain = {*lhs_dilation, *rhs_dilation, feature_group_count} == {1} and precision is None
    if plain and jax.default_backend() == "cpu":
        return _convolution(x, kernel, tuple(strides), _pads(x.shape, kernel.shape, strides, padding))
    return lax.conv_general_dilated(
        x, kernel, strides, padding, lhs_dilation, rhs_dilation, _LAYOUT, feature_group_count, precision=precision
    )


Conv = partial(nn.Conv, conv_general_dilated=convolution)


def transposed_convolution(
    y: Float[Array, "batch height width outputs"], kernel: Float[Array, "rows columns inputs outputs"], stride: int
) -> Float[Array, "batch _ _ inputs"]:
    """The transpose of a convolution with this stride that is padded to ceil(side / stride) places ("SAME")."""
    batch, height, width, _ = y.shape
    shape, strides = (batch, height * stride, width * stride, kernel.shape[2]), (stride, stride)
    transpose = _transposed if jax.default_backend() == "cpu" else _transpose
    return transpose(y, kernel, strides, _pads(shape, kernel.shape, strides, "SAME"), shape)


class TransposedConv(nn.Module):
    """A square convolution that makes the sides `stride` times larger: `nn.ConvTranspose` with `transpose_kernel`."""

    features: int
    kernel_size: int
    stride: int
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters are float32

    @nn.compact
    def __call__(self, y: Float[Array, "batch height width inputs"]) -> Float[Array, "batch _ _ {self.features}"]:
        size = (self.kernel_size, self.kernel_size, self.features, y.shape[-1])
        kernel = self.param("kernel", self.kernel_init, size)
        x = transposed_convolution(y.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else 0.0
        return x + jnp.asarray(bias, self.dtype)


def _pads(shape: Shape, kernel: Shape, strides: Sequence[int], padding: str | Sequence[tuple[int, int]]) -> Pads:
    pads = lax.padtype_to_pads(shape[1:3], kernel[:2], strides, padding) if isinstance(padding, str) else padding
    return tuple((low, high) for low, high in pads)


def _convolve(x: Array, kernel: Array, strides: Strides, pads: Pads) -> Array:
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_LAYOUT)


def _transpose(y: Array, kernel: Array, strides: Strides, pads: Pads, shape: Shape) -> Array:
    """<_transpose(y, k), x> = <y, _convolve(x, k)> for pictures x of this shape."""
    around = []
    sides = zip(shape[1:3], kernel.shape[:2], y.shape[1:3], strides, pads, strict=True)
    for side, window, places, stride, (before, _) in sides:
        low = window - 1 - before
        around.append((low, side + window - 2 - low - (places - 1) * stride))
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return lax.conv_general_dilated(y, turned, (1, 1), around, lhs_dilation=strides, dimension_numbers=_LAYOUT)


def _correlate(x: Array, y: Array, strides: Strides, pads: Pads, shape: Shape) -> Array:
    """<_correlate(x, y), k> = <y, _convolve(x, k)> for kernels k of this shape."""
    around = []
    sides = zip(x.shape[1:3], shape[:2], y.shape[1:3], strides, pads, strict=True)
    for side, window, places, stride, (before, _) in sides:
        around.append((before, window - side - before + (places - 1) * stride))
    pictures, windows = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
    kernel = lax.conv_general_dilated(
        pictures, windows, (1, 1), around, rhs_dilation=strides, dimension_numbers=_LAYOUT
    )
    return kernel.transpose(1, 2, 0, 3)


def _quicker(gain: bool, plain: Bilinear, by_blocks: Bilinear, left: Array, right: Array) -> Array:
    """By blocks where they gain. The program names the plain form as well, by which operations are counted."""
    if not gain:
        return plain(left, right)
    return lax.platform_dependent(left, right, cpu=by_blocks, default=plain)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolution(x: Array, kernel: Array, strides: Strides, pads: Pads) -> Array:
    blocks = ColumnBlocks(x.shape, kernel.shape, strides[1], pads[1])

    def plain(x: Array, kernel: Array) -> Array:
        return _convolve(x, kernel, strides, pads)

    def by_blocks(x: Array, kernel: Array) -> Array:
        laid = blocks.of_pictures(x), blocks.of_kernel(kernel)
        return blocks.to_result(_convolve(*laid, (strides[0], 1), (pads[0], (0, 0))))

    return _quicker(blocks.gain, plain, by_blocks, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _transposed(y: Array, kernel: Array, strides: Strides, pads: Pads, shape: Shape) -> Array:
    blocks = ColumnBlocks(shape, kernel.shape, strides[1], pads[1])

    def plain(y: Array, kernel: Array) -> Array:
        return _transpose(y, kernel, strides, pads, shape)

    def by_blocks(y: Array, kernel: Array) -> Array:
        laid = blocks.of_result(y), blocks.of_kernel(kernel)
        of_blocks = jax.eval_shape(blocks.of_pictures, jax.ShapeDtypeStruct(shape, y.dtype)).shape
        return blocks.to_pictures(_transpose(*laid, (strides[0], 1), (pads[0], (0, 0)), of_blocks))

    return _quicker(blocks.gain_for_pictures, plain, by_blocks, y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _correlation(x: Array, y: Array, strides: Strides, pads: Pads, shape: Shape) -> Array:
    blocks = ColumnBlocks(x.shape, shape, strides[1], pads[1])

    def plain(x: Array, y: Array) -> Array:
        return _correlate(x, y, strides, pads, shape)

    def by_blocks(x: Array, y: Array) -> Array:
        laid = blocks.of_pictures(x), blocks.of_result(y)
        of_blocks = jax.eval_shape(blocks.of_kernel, jax.ShapeDtypeStruct(shape, y.dtype)).shape
        return blocks.to_kernel(_correlate(*laid, (strides[0], 1), (pads[0], (0, 0)), of_blocks))

    return _quicker(blocks.gain_for_kernel, plain, by_blocks, x, y)


Pair = tuple[Array, Array]


def _convolution_forward(x: Array, kernel: Array, strides: Strides, pads: Pads) -> tuple[Array, Pair]:
    return _convolution(x, kernel, strides, pads), (x, kernel)


def _convolution_backward(strides: Strides, pads: Pads, pair: Pair, y: Array) -> Pair:
    x, kernel = pair
    return _transposed(y, kernel, strides, pads, x.shape), _correlation(x, y, strides, pads, kernel.shape)


def _transposed_forward(y: Array, kernel: Array, strides: Strides, pads: Pads, shape: Shape) -> tuple[Array, Pair]:
    return _transposed(y, kernel, strides, pads, shape), (y, kernel)


def _transposed_backward(strides: Strides, pads: Pads, shape: Shape, pair: Pair, x: Array) -> Pair:
    y, kernel = pair
    return _convolution(x, kernel, strides, pads), _correlation(x, y, strides, pads, kernel.shape)


def _correlation_forward(x: Array, y: Array, strides: Strides, pads: Pads, shape: Shape) -> tuple[Array, Pair]:
    return _correlation(x, y, strides, pads, shape), (x, y)


def _correlation_backward(strides: Strides, pads: Pads, shape: Shape, pair: Pair, kernel: Array) -> Pair:
    x, y = pair
    return _transposed(y, kernel, strides, pads, x.shape), _convolution(x, kernel, strides, pads)


_convolution.defvjp(_convolution_forward, _convolution_backward)
_transposed.defvjp(_transposed_forward, _transposed_backward)
_correlation.defvjp(_correlation_forward, _correlation_backward)
