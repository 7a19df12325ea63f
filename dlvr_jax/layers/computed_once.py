"""Values that are computed once and kept.

On a CPU XLA rather computes an activation anew for each that reads it. For the gradient of a convolution's kernel it
does so in transposed order, along strides, which takes longer than the convolution; over several CPU devices it
computes the residual sums of all blocks before anew in each block; and in a training step it computes the learning rate
anew for each parameter, and each parameter's update anew for its norm and for the new parameter.
"""

import jax
from jaxtyping import Array, Shaped


def computed_once(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """`x`; so is its gradient."""
    return jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x
