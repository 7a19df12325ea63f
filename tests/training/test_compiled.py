"""The training step is begun before there is a state: the program must be the one that the state then asks for."""

import pytest

from dlvr_jax.beginning import abstract_state, first_state
from dlvr_jax.training.compiled import begin_train_program, train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.strategy import Form
from tests.configs import plain

MOONS = "configs/ebm/energy_two_moons.py"
FOUR = {"population__size": "4", "population__vary__optimizer__learning_rate": "0.01,0.02,0.03,0.04"}
FORMS = {
    "alone": (MOONS, {}),
    "averaged, several steps a call": (MOONS, {"train__ema": "0.9", "train__steps_per_call": "4"}),
    "with carries of micro-batches": ("configs/modern_rnn/lstm_shakespeare_1m.py", {"train__accumulate": "2"}),
    "in parts on four devices": ("configs/transformer/gpt_shakespeare_1m.py", {"mesh__data": "2", "mesh__fsdp": "2"}),
    "four members": (MOONS, FOUR),
    "four members on two devices": (MOONS, FOUR | {"mesh__data": "2"}),
}


@pytest.mark.parametrize(("path", "flags"), FORMS.values(), ids=FORMS)
def test_a_step_begun_from_shapes_is_the_one_of_the_first_state(path: str, flags: dict[str, str]) -> None:
    e = plain(path, **flags)
    task = e.population_of(Form("vmap", e.devices)) if e.is_population else e.task
    split = Split.place(e.training_batches(), e.placement)
    others = split.resident, split.first_call(e.train.steps_per_call, task.micro)
    begun = begin_train_program(
        task, e.train.steps_per_call, split.placement.abstract(abstract_state(e), task.micro), *others
    )
    state = split.placement.state(first_state(e), task.micro)
    assert train_program(task, e.train.steps_per_call, state, *others) is begun.result()
