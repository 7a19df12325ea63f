"""Variables of a model as one program: outside `jit` every operation of every layer is a program of its own."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def initialised(model: nn.Module, *inputs: Any, seed: int = 0) -> Any:
    """`model.init` for evaluation."""
    return jax.jit(lambda key, *given: model.init(key, *given, train=False))(jax.random.key(seed), *inputs)


def uneven(variables: Any, by: float = 0.05) -> Any:
    """With biases that are not zero; added by NumPy, which compiles nothing."""

    def moved(leaf: np.ndarray) -> jax.Array:
        return jnp.asarray(leaf + by * np.sin(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape))

    return jax.tree.map(moved, jax.device_get(variables))
