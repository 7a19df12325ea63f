"""Programs as a run asks for them: the step is compiled before there is a state, and what failed is tried again."""

from pathlib import Path

import jax
import pytest

from dlvr_jax.beginning import first_state
from dlvr_jax.launch import _compiling_step
from dlvr_jax.run import Run
from dlvr_jax.training import compiled
from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.strategy import Form
from tests.configs import plain

MOONS = "configs/ebm/energy_two_moons.py"
FOUR = {"population__size": "4", "population__vary__optimizer__learning_rate": "0.01,0.02,0.03,0.04"}
FORMS = {
    "alone": (MOONS, {}),
    "averaged, several steps a call": (MOONS, {"train__ema": "0.9", "train__steps_per_call": "4"}),
    "streamed": (MOONS, {"data__backing": "stream"}),
    "with carries of micro-batches": ("configs/modern_rnn/lstm_shakespeare_1m.py", {"train__accumulate": "2"}),
    "in buckets of lengths": ("configs/modern_rnn/bilstm_spam.py", {"train__length_buckets": "2"}),
    "in parts on four devices": ("configs/transformer/gpt_shakespeare_1m.py", {"mesh__data": "2", "mesh__fsdp": "2"}),
    "four members": (MOONS, FOUR),
    "four members on two devices": (MOONS, FOUR | {"mesh__data": "2"}),
}


@pytest.mark.parametrize(("path", "flags"), FORMS.values(), ids=FORMS)
def test_the_step_compiled_beforehand_is_the_one_that_the_first_state_asks_for(
    path: str, flags: dict[str, str], tmp_path: Path
) -> None:
    e = plain(path, **flags)
    task, per_call = e.population_of(Form("vmap", e.devices)) if e.is_population else e.task, e.train.steps_per_call
    split = Split.place(e.training_batches(), e.placement)
    compiled._compile.cache_clear()
    with _compiling_step(e, task, split, Run(tmp_path), None):
        state = split.placement.state(first_state(e), task.micro)
    assert compiled._compile.cache_info().misses == 2  # the step and the initialisation
    train_program(
        task, per_call, state, split.resident, split.first_call(per_call, task.micro), split.batches.widths(0)
    )
    assert compiled._compile.cache_info().misses == 2


@pytest.mark.parametrize(("saved", "until"), [(16, None), (8, 8)], ids=["finished", "paused"])
def test_no_step_is_compiled_where_none_is_left(saved: int, until: int | None, tmp_path: Path) -> None:
    e = plain(MOONS, train__steps="16")
    (tmp_path / "checkpoints" / str(saved)).mkdir(parents=True)
    split = Split.place(e.training_batches(), e.placement)
    compiled._compile.cache_clear()
    with _compiling_step(e, e.task, split, Run(tmp_path), until):
        assert compiled._compile.cache_info().misses == 0


def test_a_program_that_did_not_compile_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    e = plain(MOONS)
    compiled._compile.cache_clear()

    def fails(*_) -> None:
        raise MemoryError("out of memory")

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(jax.stages.Lowered, "compile", fails)
        first_state(e)
    assert int(first_state(e).step) == 0
