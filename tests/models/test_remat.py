"""A gradient that keeps only what blocks get: the same numbers, in less memory."""

from typing import Any

import jax
import numpy as np
import pytest

from dlvr_jax.benchmarks.cost import memory_of
from dlvr_jax.tasks.task import State
from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.packed_sums import PackedSums
from tests.configs import plain, state_of

GPT = "configs/transformer/gpt_shakespeare_1m.py"
VIT = "configs/transformer/vit_fashion_mnist.py"
RESNET = "configs/modern_cnn/resnet18_fashion_mnist.py"
DEEP = {  # so that there is much to keep
    GPT: {"model__layers": "4", "model__width": "64", "model__dropout": "0.3"},
    VIT: {"model__layers": "4", "model__width": "64", "model__dropout": "0.3"},
    RESNET: {"model__depth": "18", "model__width": "8"},  # with statistics of the batch
}


@pytest.mark.parametrize("path", DEEP)
def test_steps_are_the_same_in_less_memory(path: str) -> None:
    (less, it, its_sums), (more, other, other_sums) = (_step(path, remat) for remat in ("true", "false"))
    assert less < 0.75 * more
    # Float32: what is computed again may be fused otherwise, and then rounds otherwise.
    for a, b in ((it.params, other.params), (it.variables, other.variables), (its_sums, other_sums)):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def _step(path: str, remat: str) -> tuple[int, State, PackedSums]:
    """Its memory in bytes, the state after it, its sums."""
    experiment = plain(path, train__batch_size="32", model__remat=remat, **DEEP[path])
    state, batches = state_of(experiment), experiment.training_batches()
    program: Any = train_program(experiment.task, 1, state, batches.resident, batches.payload(0))
    memory = memory_of(program)
    assert memory is not None
    return memory.total, *program(state, batches.resident, batches.payload(0))
