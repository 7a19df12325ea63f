"""How many devices share the batch of a run alone: as the config says, or measured once and remembered."""

from functools import partial

import jax
import pytest

from dlvr_jax import choose_form
from dlvr_jax.build import Experiment
from dlvr_jax.training import strategy
from tests.configs import tiny

PATH = "configs/cnn/lenet5_digits.py"
OPEN = {"mesh__data": "none", "train__batch_size": "12", "eval__batch_size": "20"}  # both split over 1, 2 and 4


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> list[tuple[int, ...]]:
    """The counts of each measurement; the greater is twice as quick."""
    made = []

    def measure(task, counts, *_) -> dict[int, float]:
        made.append(counts)
        return {count: 1 / count for count in counts}

    monkeypatch.setenv("DLVR_CACHE", str(tmp_path))
    monkeypatch.setattr(choose_form, "measure_devices", measure)
    return made


def devices(experiment: Experiment) -> int:
    return choose_form.on_devices(experiment)[0].devices


@pytest.mark.skipif(jax.local_device_count() < 4, reason="needs four devices")
def test_the_quicker_number_is_taken_and_remembered(measured) -> None:
    assert devices(tiny(PATH, **OPEN)) == 4
    assert devices(tiny(PATH, **OPEN)) == 4
    assert measured == [(1, 4)]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({}, 1), ({"mesh__data": "2"}, 2), ({**OPEN, "train__batch_size": "13"}, 1)],
)
def test_nothing_is_measured_where_there_is_no_choice(flags: dict[str, str], expected: int, measured) -> None:
    assert devices(tiny(PATH, **flags)) == expected
    assert measured == []


@pytest.mark.skipif(jax.local_device_count() < 4, reason="needs four devices")
@pytest.mark.parametrize("text", ["[1, ", "{}", "[]", '{"1 device": "much"}', '{"3 devices": 1.0}'])
def test_a_file_that_cannot_be_used_is_made_again(text: str, measured) -> None:
    experiment = tiny(PATH, **OPEN)
    devices(experiment)
    choose_form.remembered("devices", experiment).write_text(text)
    assert devices(experiment) == 4
    assert len(measured) == 2


def test_a_step_is_timed_on_each_number_of_devices(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("DLVR_CACHE", str(tmp_path))
    _, seconds = choose_form.on_devices(tiny(PATH, **OPEN))
    most = max(count for count in (1, 2, 4) if count <= jax.local_device_count())
    assert set(seconds) == ({"1 device", f"{most} devices"} if most > 1 else set())
    assert all(taken > 0 for taken in seconds.values())


def test_a_number_that_there_is_no_room_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(task, per_call, state, split):
        if split.placement.mesh.size == 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return lambda: 1.0

    monkeypatch.setattr(strategy, "_step", step)
    experiment, most = tiny(PATH, **OPEN), min(2, jax.local_device_count())
    measured = partial(strategy.measure_devices, experiment.task, per_call=1, state=experiment.abstract_state)
    if most > 1:
        assert measured(counts=(1, most), batches=experiment.training_batches()) == {most: 1.0}
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        measured(counts=(1,), batches=experiment.training_batches())
