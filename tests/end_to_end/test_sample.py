"""`sample` and `predict` on the run folder of every config's `tiny`."""

from pathlib import Path

import pytest

from tests.configs import PATHS, tiny
from tests.end_to_end.conftest import Launch


@pytest.mark.parametrize("path", PATHS)
def test_a_run_of_every_config_can_be_looked_at(path: str, tmp_path: Path, launch: Launch) -> None:
    run, task = tmp_path / "run", tiny(path).task
    steps = "--config.train.steps=4"
    done = launch("train", f"{path}:tiny", "--workdir", run, steps)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").stat().st_size < 2_000_000
    done = launch("evaluate", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "equal to the summary"
    for verb, has in (("sample", task.sample), ("predict", task.show)):
        done = launch(verb, run)
        if has is None:
            assert done.returncode == 1 and "try " in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            assert (run / f"{verb}.html").stat().st_size > 2000


def test_a_wrong_option_is_told_with_those_that_there_are(tiny_run: Path, launch: Launch) -> None:
    done = launch("predict", tiny_run, "--count", 1000)
    assert done.returncode == 1 and "the test split has 32 examples" in done.stderr
    done = launch("predict", tiny_run, "--split", "tset")
    assert done.returncode == 1 and "the tset split has 0 examples" in done.stderr
