"""Parameters shared out over devices: what each keeps, that the numbers stay, and that checkpoints fit any mesh."""

from pathlib import Path

import jax
import numpy as np
import pytest

from dlvr_jax.benchmarks import cost
from dlvr_jax.build import Experiment
from dlvr_jax.tasks.task import State
from dlvr_jax.training.checkpoint import Checkpoints, named_leaves, restore, tree_digest
from dlvr_jax.training.compiled import initial_state, train_program
from dlvr_jax.training.evaluation import Split, evaluate
from dlvr_jax.training.sharding import SMALL, Placement
from tests.configs import plain, ratios, run_steps, state_of, tiny

GPT = "configs/transformer/gpt_shakespeare_1m.py"
CASES = [
    pytest.param(GPT, 1, 4, marks=pytest.mark.slow),
    (GPT, 2, 2),
    pytest.param("configs/modern_cnn/resnet20_fashion_mnist.py", 2, 2, marks=pytest.mark.slow),
]
SLOW = "0.01"  # learning rate: what rounding does to a first update, the next ones multiply

every_case = pytest.mark.parametrize(("path", "data", "fsdp"), CASES)


def shared(path: str, data: int, fsdp: int, **flags: str) -> Experiment:
    return plain(path, mesh__data=str(data), mesh__fsdp=str(fsdp), optimizer__learning_rate=SLOW, **flags)


def state_in_parts(e: Experiment) -> State:
    places = e.placement.places(e.abstract_state, e.task.micro)
    return initial_state(e.task, 0, e.hyper, e.example_batch, places)


def in_parts(state: State) -> dict[str, jax.Array]:
    return named_leaves((state.params, state.opt_state, state.average))


def bytes_on_a_device(state: State) -> int:
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in in_parts(state).values())


@every_case
def test_some_steps_agree_with_one_device_and_leave_each_its_part(path: str, data: int, fsdp: int) -> None:
    alone, experiment = shared(path, 1, 1), shared(path, data, fsdp)
    one, found = run_steps(alone, state_of(alone), 3)
    state, placement, sums = state_in_parts(experiment), experiment.placement, []
    assert tree_digest(state.params) == tree_digest(state_of(alone).params)
    batches = experiment.training_batches()
    resident = placement.everywhere(batches.resident)
    for step in range(3):
        payload = placement.rows(batches.payload(step))
        state, own = train_program(experiment.task, 1, state, resident, payload)(state, resident, payload)
        sums.append(jax.device_get(own))
    np.testing.assert_allclose(ratios(sums)["loss"], ratios(found)["loss"], rtol=1e-5)
    np.testing.assert_allclose(ratios(sums)["gradient_norm"], ratios(found)["gradient_norm"], rtol=1e-4)
    for name, leaf in in_parts(state).items():
        parts = fsdp if leaf.size >= SMALL and any(length % fsdp == 0 for length in leaf.shape) else 1
        assert leaf.addressable_shards[0].data.size * parts == leaf.size, name
    assert bytes_on_a_device(state) < 0.7 * bytes_on_a_device(one)  # the tiny ResNet is half of small leaves


def test_the_longest_axis_that_splits_is_split_and_small_leaves_are_not() -> None:
    placement = Placement.over(8, fsdp=4)
    state = state_of(tiny(GPT))
    shapes = {"wide": (64, 128), "odd": (1026, 36), "none": (1025, 3), "small": (8, 8)}
    params = {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}
    found = placement.places(State(**{**vars(state), "params": params}))
    assert {name: tuple(place.spec) for name, place in found.params.items()} == {
        "wide": (None, "fsdp"),
        "odd": (None, "fsdp"),
        "none": (),
        "small": (),
    }
    assert tuple(found.step.spec) == () and placement.mesh.shape == {"data": 2, "fsdp": 4}


def test_memory_on_each_device_falls_by_what_others_keep() -> None:
    one, four = tiny(GPT), tiny(GPT, mesh__fsdp="4")
    alone, shared = cost.memory_per_device(one), cost.memory_per_device(four)
    assert alone is not None and shared is not None
    less = bytes_on_a_device(state_of(one)) - bytes_on_a_device(state_in_parts(four))
    batch = sum(leaf.nbytes for leaf in jax.tree.leaves(one.example_batch))
    assert less > 0.6 * bytes_on_a_device(state_of(one))
    assert less <= alone.arguments - shared.arguments <= less + batch


def test_an_evaluation_is_that_of_one_device() -> None:
    found = []
    for experiment in (tiny(GPT, train__ema="0.9"), tiny(GPT, train__ema="0.9", mesh__data="2", mesh__fsdp="2")):
        split, state = Split.place(experiment.evaluation_batches("test"), experiment.placement), state_of(experiment)
        state = experiment.placement.state(state)
        found.append(experiment.task.finish(state, *evaluate(experiment.task, state, split))["loss"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_a_checkpoint_of_one_mesh_fits_another(tmp_path: Path) -> None:
    experiment = tiny(GPT, mesh__fsdp="4")
    state = state_in_parts(experiment)
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, {"state": state}, {})
    checkpoints.close()
    for mesh in (Placement.over(4, fsdp=2), Placement.over(8, fsdp=8), Placement.over(1)):
        restored = restore(tmp_path, {"state": experiment.abstract_state}, pytest.fail)
        assert restored is not None
        placed = mesh.state(restored[0]["state"])
        assert tree_digest(placed) == tree_digest(state)
