"""Depthwise convolution as a sum of shifted pictures.

XLA's own grouped convolution takes 40 to 160 times as long on CPUs, forward, and 2 to 12 times as long for the
gradient of the kernel (sides of 7 to 28 pixels, 48 to 128 maps, kernels of 3 and 5, jax 0.12, one thread).
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class DepthwiseConv(nn.Module):
    """A convolution of each map with a kernel of its own, without bias."""

    size: int  # of the kernel's side; odd
    stride: int = 1
    kernel_init: Initializer = nn.initializers.he_normal()  # of variance 2 / size^2
    dtype: DTypeLike = jnp.float32  # of the result; the kernel is float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channels"]) -> Float[Array, "batch _ _ channels"]:
        """Zeros pad `size // 2` on each side; height and width fall by the stride."""
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, x.shape[-1]))
        return depthwise(x.astype(self.dtype), kernel, self.stride)


def depthwise(
    x: Float[Array, "batch height width channels"], kernel: Float[Array, "size size channels"], stride: int = 1
) -> Float[Array, "batch _ _ channels"]:
    """y[i, j, c] = sum over u, v of kernel[u, v, c] x[s i + u - p, s j + v - p, c] with p = size // 2, zero outside.

    The sum is float32, the result has `x`'s dtype.
    """
    size = kernel.shape[0]
    border = size // 2
    padded = jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    height, width = (stride * ((side - 1) // stride) + 1 for side in x.shape[1:3])  # that each shift spans
    batch, channels, steps = x.shape[0], x.shape[3], (1, stride, stride, 1)

    def term(u: int, v: int) -> Array:  # by lax, since plain indexing takes twice as long to trace
        shifted = lax.slice(padded, (0, u, v, 0), (batch, u + height, v + width, channels), steps)
        return shifted * lax.slice(kernel, (u, v, 0), (u + 1, v + 1, channels))

    terms = [term(u, v) for u in range(size) for v in range(size)]
    return sum(terms[1:], terms[0]).astype(x.dtype)
