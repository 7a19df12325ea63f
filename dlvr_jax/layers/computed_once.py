"""Values that are computed once and kept.

On a CPU XLA rather computes an activation anew for each that reads it. For the gradient of a convolution's kernel it
does so in transposed order, along strides, which takes longer than the convolution; and over several CPU devices it
computes the residual sums of all blocks before anew in each block.
"""

import jax
from jaxtyping import Array, Float


def computed_once(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x`; so is its gradient."""
    return jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x
