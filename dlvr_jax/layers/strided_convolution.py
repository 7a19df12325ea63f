"""Convolution with a stride, and its transpose, whose derivatives of every order are such convolutions again.

<y, conv(x, k)> is linear in x, in y and in the kernel k. So the gradients of conv, of its transpose (the gradient by x)
and of the third (the gradient by k) are these three once more. JAX's own rules instead lead to convolutions of dilated
inputs with windows as large as the picture, for which XLA has only a slow loop on CPUs: there the kernel's gradient of
a transposed convolution took 25 times as long, and the gradient of a gradient penalty 10 times. All three are written
in the one layout that its fast convolution takes; XLA transposes others to it, but not inside a scan, where the
gradient by the kernel took 100 times as long.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Shape = tuple[int, ...]
_LAYOUT = ("NHWC", "HWIO", "NHWC")


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution(
    x: Float[Array, "batch height width inputs"], kernel: Float[Array, "rows columns inputs outputs"], stride: int
) -> Float[Array, "batch _ _ outputs"]:
    """Padded to ceil(side / stride) places ("SAME")."""
    pads = [_pads(*sides, stride) for sides in zip(x.shape[1:3], kernel.shape, strict=False)]
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def transposed(
    y: Float[Array, "batch height width outputs"],
    kernel: Float[Array, "rows columns inputs outputs"],
    stride: int,
    shape: Shape,
) -> Float[Array, "batch _ _ inputs"]:
    """The transpose of `convolution` of inputs of this shape: <transposed(y, k), x> = <y, convolution(x, k)>."""
    pads = []
    for side, window, places in zip(shape[1:3], kernel.shape, y.shape[1:3], strict=False):
        low = window - 1 - _pads(side, window, stride)[0]
        pads.append((low, side + window - 2 - low - (places - 1) * stride))
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    dilated = (stride, stride)
    return jax.lax.conv_general_dilated(y, turned, (1, 1), pads, lhs_dilation=dilated, dimension_numbers=_LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlation(x: Array, y: Array, stride: int, shape: Shape) -> Array:
    """The third of the family: <_correlation(x, y), k> = <y, convolution(x, k)> for kernels of this shape."""
    pads = []
    for side, window, places in zip(x.shape[1:3], shape, y.shape[1:3], strict=False):
        low = _pads(side, window, stride)[0]
        pads.append((low, window - side - low + (places - 1) * stride))
    pictures, windows, dilated = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), (stride, stride)
    kernel = jax.lax.conv_general_dilated(
        pictures, windows, (1, 1), pads, rhs_dilation=dilated, dimension_numbers=_LAYOUT
    )
    return kernel.transpose(1, 2, 0, 3)


def _pads(side: int, window: int, stride: int) -> tuple[int, int]:
    """Zeroes before and behind, so that there are ceil(side / stride) places."""
    total = max((-(-side // stride) - 1) * stride + window - side, 0)
    return total // 2, total - total // 2


Pair = tuple[Array, Array]


def _convolution_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, Pair]:
    return convolution(x, kernel, stride), (x, kernel)


def _convolution_backward(stride: int, pair: Pair, y: Array) -> Pair:
    x, kernel = pair
    return transposed(y, kernel, stride, x.shape), _correlation(x, y, stride, kernel.shape)


def _transposed_forward(y: Array, kernel: Array, stride: int, shape: Shape) -> tuple[Array, Pair]:
    return transposed(y, kernel, stride, shape), (y, kernel)


def _transposed_backward(stride: int, shape: Shape, pair: Pair, x: Array) -> Pair:
    y, kernel = pair
    return convolution(x, kernel, stride), _correlation(x, y, stride, kernel.shape)


def _correlation_forward(x: Array, y: Array, stride: int, shape: Shape) -> tuple[Array, Pair]:
    return _correlation(x, y, stride, shape), (x, y)


def _correlation_backward(stride: int, shape: Shape, pair: Pair, kernel: Array) -> Pair:
    x, y = pair
    return transposed(y, kernel, stride, x.shape), convolution(x, kernel, stride)


convolution.defvjp(_convolution_forward, _convolution_backward)
transposed.defvjp(_transposed_forward, _transposed_backward)
_correlation.defvjp(_correlation_forward, _correlation_backward)


class StridedConv(nn.Module):
    """A square convolution that makes the sides `stride` times smaller: `nn.Conv`, with quicker derivatives."""

    features: int
    kernel_size: int
    stride: int
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters are float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width inputs"]) -> Float[Array, "batch _ _ {self.features}"]:
        size = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, size)
        x = convolution(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else 0.0
        return x + jnp.asarray(bias, self.dtype)


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
        batch, height, width, inputs = y.shape
        kernel = self.param("kernel", self.kernel_init, (self.kernel_size, self.kernel_size, self.features, inputs))
        shape = (batch, height * self.stride, width * self.stride, self.features)
        x = transposed(y.astype(self.dtype), kernel.astype(self.dtype), self.stride, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else 0.0
        return x + jnp.asarray(bias, self.dtype)
