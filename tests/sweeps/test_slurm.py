"""Sweeps as jobs of a Slurm cluster, which is started here: its controller, a node and its authentication."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlvr_jax.config import ROOT
from dlvr_jax.errors import UserError
from dlvr_jax.sweeps.engines.slurm import Slurm, options
from tests.sweeps import tiny_sweep

SCRIPT = ROOT / "tools" / "start_slurm.sh"
PARTS = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
PARTS += [] if find_spec("submitit") else ["submitit"]
PARTS += [] if os.geteuid() == 0 else ["root, who alone may start it,"]
with_slurm = pytest.mark.skipif(bool(PARTS), reason=f"{', '.join(PARTS)}: not here")
ARGUMENTS = ("--launcher", "slurm", "--workers", 4)


def run(*command: object) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    setting = run(SCRIPT, folder, 2).strip().removeprefix("export SLURM_CONF=")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", setting)
        yield
        run(SCRIPT, "stop", folder)


def queue(state: str = "all") -> dict[str, str]:
    """The numbers of jobs by their names."""
    lines = run("squeue", "--noheader", f"--states={state}", "--format=%j %A").splitlines()
    return dict(line.split() for line in lines)


@pytest.mark.slow
@with_slurm
def test_a_sweep_survives_the_loss_of_its_jobs(
    tmp_path: Path, cluster: None, undisturbed: list[tiny_sweep.Row]
) -> None:
    folder = tmp_path / "sweep"
    driver = tiny_sweep.start(folder, *ARGUMENTS)
    lost: set[str] = set()
    for signal_flag in ("--signal=KILL", "--state=RUNNING"):  # at once, and with time to save
        tiny_sweep.until(lambda: set(tiny_sweep.under_way(folder)) & queue("running").keys() - lost, driver)
        name = (set(tiny_sweep.under_way(folder)) & queue("running").keys() - lost).pop()
        run("scancel", signal_flag, queue("running")[name])
        lost.add(name)
    tiny_sweep.finish(folder, driver)
    assert "SIGTERM: saved at step" in tiny_sweep.logs(folder)
    assert tiny_sweep.logs(folder).count("goes on from step") == 2
    assert tiny_sweep.rows(folder) == undisturbed


@pytest.mark.slow
@with_slurm
def test_a_sweep_stops_and_goes_on(tmp_path: Path, cluster: None, undisturbed: list[tiny_sweep.Row]) -> None:
    folder = tmp_path / "sweep"
    driver = tiny_sweep.start(folder, *ARGUMENTS)
    tiny_sweep.until(lambda: tiny_sweep.under_way(folder), driver)
    driver.terminate()
    assert driver.wait(tiny_sweep.PATIENCE) == 128 + signal.SIGTERM
    assert not queue("pending,running") and "SIGTERM: saved at step" in tiny_sweep.logs(folder)
    tiny_sweep.finish(folder, tiny_sweep.start(folder, *ARGUMENTS))
    assert tiny_sweep.rows(folder) == undisturbed


@pytest.mark.slow
@with_slurm
def test_what_sbatch_refuses_is_one_line(tmp_path: Path, cluster: None) -> None:
    folder = tmp_path / "sweep"
    assert tiny_sweep.start(folder, *ARGUMENTS, "--slurm.partition=night").wait(tiny_sweep.PATIENCE) == 1
    said = folder.with_suffix(".log").read_text().splitlines()
    assert said[-1].startswith("error: sbatch: ") and "partition" in said[-1]


def test_options_are_those_of_sbatch() -> None:
    found = options(["--slurm.partition=gpu", "--slurm.gpus=1", "--slurm.exclusive", "--slurm.cpus_per_task=4"])
    expected = {"partition": "gpu", "gpus": "1", "exclusive": True, "cpus-per-task": "4"}
    assert found == {**expected, "signal": "TERM@120", "no-requeue": True}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"needs submitit \(the extra slurm\): .*pip install submitit$"):
        Slurm([])
    monkeypatch.setitem(sys.modules, "submitit", sys)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="sbatch is not on PATH"):
        Slurm([])
