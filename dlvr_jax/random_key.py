"""Where random keys begin."""

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Key


def key_of(seed: ArrayLike) -> Key[Array, ""]:
    """Of the generator Threefry, whichever JAX is set to take by default."""
    return jax.random.key(seed, impl="threefry2x32")
