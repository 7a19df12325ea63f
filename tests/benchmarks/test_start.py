"""`start` measures each config that is named, and keeps what it measured."""

import json
import re
import subprocess

import pytest

from dlvr_jax.benchmarks.start import seconds_to_first_step
from dlvr_jax.errors import UserError
from experiments.start import start

TINY = ("configs/ebm/energy_two_moons.py:tiny", "configs/cnn/lenet5_digits.py:tiny")


def test_the_starts_of_each_config_are_kept(tmp_path, capsys) -> None:
    file = tmp_path / "start.json"
    start([*TINY, "--repeats", "1", "--config.train.steps_per_call=2", "--out", str(file)])
    rows = json.loads(file.read_text())["rows"]
    assert tuple(row["config"] for row in rows) == TINY
    assert all(0 < row["import_seconds"][0] < row["other_seconds"][0] for row in rows)
    shown = capsys.readouterr().out
    assert all(name.removeprefix("configs/") in shown for name in TINY)


def test_what_does_not_start_is_told_and_the_others_are_kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(name: str, flags: list[str]) -> float:
        if name == TINY[0]:
            raise UserError("the training ended before its first step")
        return 2.0

    monkeypatch.setattr("experiments.start.seconds_to_first_step", seconds)
    monkeypatch.setattr("experiments.start.seconds_to_import", lambda: 1.0)
    file = tmp_path / "start.json"
    with pytest.raises(UserError, match=re.escape(f"{TINY[0]}: the training ended before its first step")):
        start([*TINY, "--repeats", "1", "--out", str(file)])
    assert [row["config"] for row in json.loads(file.read_text())["rows"]] == [TINY[1]]


def test_what_interrupts_it_ends_the_training_that_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **settings) -> None:
            super().__init__(*arguments, **settings)
            begun.append(self)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dlvr_jax.benchmarks.start.subprocess.Popen", Popen)
    monkeypatch.setattr("dlvr_jax.benchmarks.start.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        seconds_to_first_step(TINY[1], [])
    monkeypatch.undo()
    assert [process.wait(60) for process in begun] == [-9]
