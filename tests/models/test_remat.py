"""A gradient that keeps only what blocks get: the same numbers, in less memory."""

import jax
import numpy as np
import pytest

from dlvr_jax.benchmarks.cost import memory_of
from dlvr_jax.training.compiled import train_program
from tests.configs import plain, run_steps, state_of

GPT = "configs/transformer/gpt_shakespeare_1m.py"
VIT = "configs/transformer/vit_fashion_mnist.py"
RESNET = "configs/modern_cnn/resnet18_fashion_mnist.py"
CONFIGS = {
    GPT: {"model__layers": "2", "model__dropout": "0.3"},
    VIT: {"model__dropout": "0.3"},
    RESNET: {},  # with statistics of the batch
}

DEEP = {GPT: {"model__layers": "6"}, VIT: {"model__layers": "6"}, RESNET: {"model__depth": "18", "model__width": "8"}}


@pytest.mark.parametrize("path", CONFIGS)
def test_steps_are_the_same(path: str) -> None:
    experiments = [plain(path, **CONFIGS[path], model__remat=remat) for remat in ("false", "true")]
    (one, its_sums), (other, other_sums) = (run_steps(e, state_of(e), 1) for e in experiments)
    # Float32: what is computed again may be fused otherwise, and then rounds otherwise.
    for a, b in ((one.params, other.params), (one.variables, other.variables), (its_sums, other_sums)):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


@pytest.mark.parametrize("path", [GPT, pytest.param(VIT, marks=pytest.mark.slow), RESNET])  # a ViT's blocks are GPT's
def test_it_takes_less_memory(path: str) -> None:
    larger = {"model__width": "64", "train__batch_size": "32", **DEEP[path]}

    def taken(remat: str) -> int:
        experiment = plain(path, **larger, model__remat=remat)
        batches, state = experiment.training_batches(), state_of(experiment)
        memory = memory_of(train_program(experiment.task, 1, state, batches.resident, batches.payload(0)))
        assert memory is not None
        return memory.total

    assert taken("true") < 0.75 * taken("false")
