"""Variables of a model as one program: outside `jit` every operation of every layer is a program of its own."""

from typing import Any

import flax.linen as nn
import jax


def initialised(model: nn.Module, *inputs: Any, seed: int = 0) -> Any:
    """`model.init` for evaluation."""
    return jax.jit(lambda key, *given: model.init(key, *given, train=False))(jax.random.key(seed), *inputs)
