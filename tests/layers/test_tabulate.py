"""Layers seen while a function is traced."""

import gc

import flax.linen as nn
import jax
import jax.numpy as jnp

from dlvr_jax.layers.tabulate import Layer, layers_of


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, (3,))
        return nn.Dense(3, name="dense")(x) * scale


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        block = Block(name="block")
        return block(block(x)), nn.Dense(5, use_bias=False, name="out")(x)


def test_every_module_is_seen_once_with_its_own_parameters() -> None:
    assert layers_of(lambda x: Net().init(jax.random.key(0), x), jnp.zeros((2, 3))) == [
        Layer("Net", "Net", ((2, 3), (2, 5)), 0, 0),
        Layer("block", "Block", ((2, 3),), 3, 1),
        Layer("block.dense", "Dense", ((2, 3),), 12, 2),
        Layer("out", "Dense", ((2, 5),), 15, 1),
    ]


def test_two_models_of_one_task_are_told_apart() -> None:
    def both(x):
        return Block().init(jax.random.key(0), x), Block().init(jax.random.key(1), x)

    assert [layer.path for layer in layers_of(both, jnp.zeros((2, 3)))] == ["Block", "dense"] * 2


def test_models_that_are_gone_are_not_taken_for_others() -> None:
    def many(x):
        for seed in range(20):
            Block().init(jax.random.key(seed), x)
            gc.collect(0)  # of the youngest objects: it frees the model, and its id with it

    assert len(layers_of(many, jnp.zeros((2, 3)))) == 2 * 20


def test_a_function_that_was_traced_before_is_seen_again() -> None:
    def init(x):
        return Block().init(jax.random.key(0), x)

    jax.eval_shape(init, jnp.zeros((2, 3)))
    assert layers_of(init, jnp.zeros((2, 3))) == layers_of(init, jnp.zeros((2, 3))) != []


def test_methods_of_a_module_that_stands_nowhere_are_let_be() -> None:
    class Counter(nn.Module):
        def first(self) -> int:
            return 0

        def __call__(self, x):
            return x + 1

    layers = layers_of(lambda x: Counter().apply({}, x + Counter().first()), jnp.zeros(()))
    assert [layer.kind for layer in layers] == ["Counter"]
