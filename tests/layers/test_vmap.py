"""Layers under `vmap`, as members of a population go through them: values and gradients are those of each alone.

Of attention, dense and recurrent layers, dropout and stochastic depth the same is asked in their own tests.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.convolution import convolution, transposed_convolution
from dlvr_jax.layers.depthwise import depthwise
from dlvr_jax.layers.gelu import gelu
from dlvr_jax.layers.group_norm import GroupNorm
from dlvr_jax.layers.layer_norm import LayerNorm
from dlvr_jax.layers.pooling import max_pool
from dlvr_jax.layers.swish import swish

MEMBERS = 3
MAPS = (2, 8, 8, 4)  # a batch of pictures


def normed(norm: BatchNorm | GroupNorm | LayerNorm, x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    variables = {"params": {"scale": scale, "bias": bias}}
    if isinstance(norm, BatchNorm):
        variables["batch_stats"] = {"mean": jnp.zeros(4), "var": jnp.ones(4)}
        return norm.apply(variables, x, mutable=["batch_stats"])[0]
    return norm.apply(variables, x)


EXACT, ROUNDED = 0.0, 2e-6  # relative and absolute: float32 keeps 6e-8 of numbers of order 1 to 10
SUMS = 1e-4  # float32: sums of up to some hundred products of order 1, in another order
Layer = Callable[..., jax.Array]
Shapes = tuple[tuple[int, ...], ...]
LAYERS: dict[str, tuple[Layer, Shapes, float]] = {
    "convolution": (partial(convolution, strides=(1, 1), padding="SAME"), ((2, 8, 8, 32), (3, 3, 32, 32)), SUMS),
    "convolution by blocks": (partial(convolution, strides=(1, 1), padding="SAME"), (MAPS, (3, 3, 4, 6)), SUMS),
    "with a stride": (partial(convolution, strides=(2, 2), padding="SAME"), ((2, 8, 8, 1), (3, 3, 1, 2)), SUMS),
    "transposed convolution": (partial(transposed_convolution, stride=2), ((2, 8, 8, 32), (4, 4, 32, 32)), SUMS),
    "transposed by blocks": (partial(transposed_convolution, stride=2), (MAPS, (4, 4, 3, 4)), SUMS),
    "depthwise": (depthwise, (MAPS, (3, 3, 4)), SUMS),
    "max pool": (max_pool, (MAPS,), EXACT),
    "batch norm": (partial(normed, BatchNorm(use_running_average=False)), (MAPS, (4,), (4,)), SUMS),
    "group norm": (partial(normed, GroupNorm(2)), (MAPS, (4,), (4,)), SUMS),
    "layer norm": (partial(normed, LayerNorm(1e-5)), ((2, 5, 4), (4,), (4,)), SUMS),
    "gelu": (gelu, (MAPS,), ROUNDED),
    "swish": (swish, (MAPS,), ROUNDED),
    "computed once": (computed_once, (MAPS,), EXACT),
}


@pytest.mark.parametrize("name", LAYERS)
def test_members_together_are_members_alone(name: str) -> None:
    layer, shapes, tolerance = LAYERS[name]
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal((MEMBERS, *shape), np.float32) for shape in shapes]

    def both(*arguments: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        value, pullback = jax.vjp(layer, *arguments)
        return value, pullback(value)

    together = jax.jit(jax.vmap(both))(*arguments)
    alone = [jax.jit(both)(*member) for member in zip(*arguments, strict=True)]
    for found, *each in zip(*map(jax.tree.leaves, (together, *alone)), strict=True):
        np.testing.assert_allclose(found, np.stack(each), rtol=tolerance, atol=tolerance)
