"""What the loop costs can be measured for every form of a step of a run alone."""

import dataclasses
from pathlib import Path

import pytest

from dlvr_jax.benchmarks import overhead
from dlvr_jax.build import Experiment
from dlvr_jax.errors import UserError
from dlvr_jax.training.loop import Stopped
from experiments.overhead import overhead as program
from tests.configs import tiny

DIGITS = "configs/cnn/lenet5_digits.py"
PARTS = ["logging and progress", "and checkpoints", "and evaluation"]


def parts(experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(overhead, "BARE_CALLS", 2)
    found = list(overhead.measure(experiment, 4, folder))
    assert all(part.seconds_per_step > 0 and part.ratio > 0 for part in found)
    return [part.name for part in found[1::2]]


@pytest.mark.parametrize(
    ("path", "flags"),
    [
        (DIGITS, {}),
        (DIGITS, {"train__steps_per_call": "2", "train__accumulate": "2", "mesh__data": "2"}),
        ("configs/gan/wgan_gp_gaussians.py", {}),
    ],
)
def test_every_form_of_a_step_has_its_parts(path: str, flags: dict[str, str], tmp_path, monkeypatch) -> None:
    assert parts(tiny(path, **flags), tmp_path, monkeypatch) == PARTS


def test_data_without_a_validation_split_are_not_evaluated(tmp_path, monkeypatch) -> None:
    experiment = tiny(DIGITS)
    spec = dataclasses.replace(experiment.data.spec, splits={**experiment.data.spec.splits, "validation": 0})
    without = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, spec=spec))
    assert parts(without, tmp_path, monkeypatch) == PARTS[:2]


@pytest.mark.parametrize(
    ("flags", "steps", "fault"),
    [
        ({"train__steps_per_call": "2"}, 5, "--steps 5: must be a multiple of train.steps_per_call = 2; use 4 or 6"),
        ({}, 0, "--steps 0"),
        ({"population__size": "3"}, 4, "population.size = 3"),
    ],
)
def test_what_cannot_be_measured_is_refused(flags: dict[str, str], steps: int, fault: str, tmp_path) -> None:
    with pytest.raises(UserError, match=fault):
        list(overhead.measure(tiny(DIGITS, **flags), steps, tmp_path))


def test_a_signal_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object) -> None:
        raise Stopped(2, 5)

    monkeypatch.setattr("experiments.overhead.measure", stopped)
    assert program([f"{DIGITS}:tiny", "--steps", "4"]) == 130
    shown = capsys.readouterr().err
    assert "interrupted" in shown and "below train.eval_every" in shown
