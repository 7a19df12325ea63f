"""A run taken up again: of every task it ends as if never stopped; on other devices it goes on, on other data not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from dlvr_jax import choose_form
from dlvr_jax.run import Run
from experiments.train import train
from tests.configs import every_task
from tests.end_to_end.conftest import TINY, Launch, command_of
from tests.resuming import cut_back, outcome


@every_task
def test_a_resumed_run_of_every_task_equals_one_that_was_never_stopped(
    path: str, run_of: Callable[[str], Path], tmp_path: Path
) -> None:
    whole, resumed = run_of(path), tmp_path / "run"
    shutil.copytree(whole, resumed)
    cut_back(Run(resumed), 6)
    assert train(command_of(path, resumed)) == 0
    assert outcome(Run(resumed)) == outcome(Run(whole))


@pytest.fixture
def stopped(tiny_run: Path, tmp_path: Path) -> Path:
    """A run that has only its checkpoint of step 8."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for path in [run / "summary.json", run / "report.html"]:
        path.unlink()
    for path in (run / "checkpoints").iterdir():
        if int(path.name) > 8:
            shutil.rmtree(path)
    return run


def test_another_number_of_devices_is_recorded_as_weaker(stopped: Path, call: Launch) -> None:
    flags = ("--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.train.keep=1")
    done = call("train", TINY, "--workdir", stopped, *flags)
    assert done.returncode == 0, done.stderr
    guarantee = json.loads((stopped / "summary.json").read_text())["guarantee"]
    assert guarantee.startswith("weaker: ") and "form.devices: 1, now 4" in guarantee


def test_other_data_are_refused(stopped: Path, call: Launch) -> None:
    environment = json.loads((stopped / "environment.json").read_text())
    (stopped / "environment.json").write_text(json.dumps({**environment, "data": "0" * 64}))
    done = call("train", TINY, "--workdir", stopped)
    assert done.returncode == 1
    assert "was trained on other data than these" in done.stderr and not (stopped / "summary.json").exists()


def test_a_number_of_devices_that_was_measured_stays(
    call: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if jax.local_device_count() == 1:
        pytest.skip("needs several devices")
    run, sign = tmp_path / "run", [-1]  # several are quicker, and then one is
    monkeypatch.setenv("DLVR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        choose_form, "measure_devices", lambda task, counts, *_: {count: 10 + sign[0] * count for count in counts}
    )
    command = ("train", TINY, "--workdir", run, "--config.mesh.data=none")
    begun = call(*command, "--until", "8")
    assert begun.returncode == 0, begun.stderr
    assert json.loads((run / "environment.json").read_text())["form"]["devices"] > 1
    sign[0] = 1
    shutil.rmtree(tmp_path / "cache" / "devices")
    done = call(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "summary.json").read_text())["guarantee"].startswith("bit-identical")
    assert "equal to the summary" in call("evaluate", run).stdout
