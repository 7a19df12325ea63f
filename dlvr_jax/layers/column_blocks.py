"""Convolutions of few maps by blocks of columns, for CPUs.

Eigen's convolution is a product of matrices as wide as there are maps: of one to a dozen most of each vector register
is idle. So neighbouring columns of a picture become maps of one wider column, and the kernel makes several columns of
the result at a time. Its places that no window reaches are zero, which is more to multiply (1.6 times for LeNet-5's
windows of 5 columns by blocks of 4) in a fraction of the time.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Shape = tuple[int, ...]
MOST_INPUTS = 15  # maps: of more the product is wide enough
MOST_OUTPUTS = 32


@dataclass(frozen=True)
class ColumnBlocks:
    """Pictures, kernel and result of a convolution, laid out by blocks and back. Each way is linear, back and forth
    are transposes: so a convolution's transpose and its gradient by the kernel are laid out by the same three.
    """

    picture: Shape
    kernel: Shape
    stride: int  # of columns
    pad: tuple[int, int]  # zeroes before and behind a row

    @property
    def columns(self) -> int:
        """Of the result in a block; 1 where blocks gain nothing, as measured on a CPU with AVX-512."""
        _, window, inputs, outputs = self.kernel
        if window == 1 or inputs > MOST_INPUTS or outputs > MOST_OUTPUTS:
            return 1
        columns = 8 if inputs * outputs < 4 else 4 if inputs * outputs < 48 else 2
        return max(1, min(columns // self.stride, self._width))

    @property
    def gain(self) -> bool:
        """For the convolution."""
        return self.columns > 1

    @property
    def gain_for_kernel(self) -> bool:
        """For the gradient by the kernel: not where many maps are made of one."""
        return self.gain and (self.kernel[2] > 1 or self.kernel[3] < 16)

    @property
    def gain_for_pictures(self) -> bool:
        """For the transpose: not there either, but with a stride."""
        return self.gain_for_kernel or (self.gain and self.stride > 1)

    def of_pictures(self, x: Float[Array, "batch height width inputs"]) -> Float[Array, "batch height _ _"]:
        """With the zeroes of a row around it; columns behind the last window are left out."""
        blocks, before = self._results + self._window - 1, self.pad[0]
        behind = blocks * self._taken - x.shape[2] - before
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (0, 0, 0), (before, behind, 0), (0, 0, 0)))
        return x.reshape(*x.shape[:2], blocks, self._taken * x.shape[3])

    def of_kernel(self, kernel: Float[Array, "rows columns inputs outputs"]) -> Float[Array, "rows _ _ _"]:
        """For each column of a block the kernel, at its place among zeroes."""
        rows, columns, inputs, outputs = kernel.shape
        free = self._window * self._taken - columns
        starts = range(0, self._taken, self.stride)
        moved = [jnp.pad(kernel, ((0, 0), (at, free - at), (0, 0), (0, 0))) for at in starts]
        return jnp.stack(moved, 3).reshape(rows, self._window, self._taken * inputs, self.columns * outputs)

    def of_result(self, y: Float[Array, "batch height width outputs"]) -> Float[Array, "batch height _ _"]:
        """Filled up with columns of zeroes."""
        y = jnp.pad(y, ((0, 0), (0, 0), (0, self._results * self.columns - y.shape[2]), (0, 0)))
        return y.reshape(*y.shape[:2], self._results, self.columns * y.shape[3])

    def to_pictures(self, x: Float[Array, "batch height _ _"]) -> Float[Array, "batch height width inputs"]:
        """The transpose of `of_pictures`."""
        return jax.linear_transpose(self.of_pictures, jax.ShapeDtypeStruct(self.picture, x.dtype))(x)[0]

    def to_kernel(self, kernel: Float[Array, "rows _ _ _"]) -> Float[Array, "rows columns inputs outputs"]:
        """The transpose of `of_kernel`: the sum over the columns of a block."""
        return jax.linear_transpose(self.of_kernel, jax.ShapeDtypeStruct(self.kernel, kernel.dtype))(kernel)[0]

    def to_result(self, y: Float[Array, "batch height _ _"]) -> Float[Array, "batch height width outputs"]:
        """`of_result` turned back, which is its transpose."""
        shape = (*y.shape[:2], self._width, self.kernel[3])
        return jax.linear_transpose(self.of_result, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]

    @property
    def _width(self) -> int:
        """Columns of the result."""
        return max(0, (self.picture[2] + sum(self.pad) - self.kernel[1]) // self.stride + 1)

    @property
    def _results(self) -> int:
        """Blocks of the result, the last one filled up."""
        return -(-self._width // self.columns)

    @property
    def _taken(self) -> int:
        """Columns of a picture in a block."""
        return self.columns * self.stride

    @property
    def _window(self) -> int:
        """Blocks of a picture that a block of the result sees."""
        return -(-(self.kernel[1] + self._taken - self.stride) // self._taken)
