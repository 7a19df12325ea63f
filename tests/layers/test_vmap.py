"""Layers under `vmap`, as members of a population go through them: values and gradients are those of each alone."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.attention import causal_mean
from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.convolution import convolution, transposed_convolution
from dlvr_jax.layers.dense import product
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


LAYERS: dict[str, tuple[Callable[..., jax.Array], tuple[tuple[int, ...], ...]]] = {
    "convolution": (partial(convolution, strides=(1, 1), padding="SAME"), (MAPS, (3, 3, 4, 6))),
    "convolution by blocks": (partial(convolution, strides=(2, 2), padding="SAME"), ((2, 8, 8, 1), (3, 3, 1, 2))),
    "transposed convolution": (partial(transposed_convolution, stride=2), (MAPS, (4, 4, 3, 4))),
    "depthwise": (depthwise, (MAPS, (3, 3, 4))),
    "max pool": (max_pool, (MAPS,)),
    "batch norm": (partial(normed, BatchNorm(use_running_average=False)), (MAPS, (4,), (4,))),
    "group norm": (partial(normed, GroupNorm(2)), (MAPS, (4,), (4,))),
    "layer norm": (partial(normed, LayerNorm(1e-5)), ((2, 5, 4), (4,), (4,))),
    "gelu": (gelu, (MAPS,)),
    "swish": (swish, (MAPS,)),
    "computed once": (computed_once, (MAPS,)),
    "product": (product, ((2, 5, 4), (4, 3))),
    "causal attention by blocks": (partial(causal_mean, implementation="xla"), ((2, 128, 2, 4),) * 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_members_together_are_members_alone(name: str) -> None:
    layer, shapes = LAYERS[name]
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal((MEMBERS, *shape), np.float32) for shape in shapes]

    def both(*arguments: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        value, pullback = jax.vjp(layer, *arguments)
        return value, pullback(jnp.cos(value))

    together = jax.jit(jax.vmap(both))(*arguments)
    alone = [jax.jit(both)(*member) for member in zip(*arguments, strict=True)]
    # Float32: sums of up to some hundred products of order 1, in another order.
    jax.tree.map(
        lambda found, *each: np.testing.assert_allclose(found, np.stack(each), rtol=1e-4, atol=1e-4), together, *alone
    )
