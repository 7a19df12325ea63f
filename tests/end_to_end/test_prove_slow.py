"""The long evidence that kills change no bit: `./launch.sh test -m slow tests/end_to_end/test_prove_slow.py`."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import TINY, Launch

FORMS = {
    "averaged": "--config.train.ema=0.99",
    "accumulated": "--config.train.accumulate=2",
    "mixed up": "--config.augment.mixup=0.2",
    "bfloat16": "--config.train.precision=bfloat16",
    "four steps a call": "--config.train.steps_per_call=4",
}


@pytest.mark.slow
def test_twenty_kills_change_no_bit(tmp_path: Path, launch: Launch) -> None:
    flags = ["--kills", 20, "--workdir", tmp_path / "runs", "--config.train.steps=400"]
    done = launch("prove", TINY, *flags)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_kills_change_no_bit_of(form: str, tmp_path: Path, launch: Launch) -> None:
    done = launch("prove", TINY, "--workdir", tmp_path / "runs", "--config.train.steps=200", FORMS[form])
    assert done.returncode == 0, done.stdout + done.stderr
