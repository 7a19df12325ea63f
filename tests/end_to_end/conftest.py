"""Finished runs that tests here share, and the command line as a user has it, in its own process or in this one."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from filelock import FileLock

from dlvr_jax.config import ROOT
from experiments.command import main
from experiments.train import train

TINY = "configs/cnn/lenet5_digits.py:tiny"
Launch = Callable[..., subprocess.CompletedProcess[str]]


def run_verb(
    *arguments: object, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`python -m experiments.VERB ...` in a process of its own, as launch.sh starts it, with room for wide tables."""
    verb, *rest = map(str, arguments)
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{verb}", *rest],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000", **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=1800,
    )


@pytest.fixture(scope="session")
def launch() -> Launch:
    """launch(VERB, *arguments, env=None, cwd=ROOT): what came out of that process."""
    return run_verb


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Launch:
    """As `launch`, but in this process, which has its imports and programs already."""

    def called(
        *arguments: object, env: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        verb, *rest = map(str, arguments)
        for name, value in {"COLUMNS": "1000", **(env or {})}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [verb, *rest])
        with pytest.raises(SystemExit) as exited:
            main(getattr(import_module(f"experiments.{verb}"), verb))
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, int(exited.value.code or 0), shown.out, shown.err)

    return called


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of TINY, trained once for all workers; tests copy it before they change it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    run = shared / "tiny_run"
    with FileLock(shared / "tiny_run.lock"):
        if not (run / "report.html").exists():
            done = run_verb("train", TINY, "--workdir", run)
            assert done.returncode == 0, done.stderr
    return run


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """run_of(path): a finished run of that config's `tiny`, trained once; tests copy it before they change it.

    The checkpoint of step 6 lies within an epoch (of 4 steps), a window of the log and a text that is read in order.
    """
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def trained(path: str) -> Path:
        run = folder / path.replace("/", "-")
        assert train(command_of(path, run)) == 0
        return run

    return trained


def command_of(path: str, run: Path) -> list[str]:
    """What `run_of` trains; in another folder that holds a part of the same run, it goes on there."""
    flags = ("--config.train.checkpoint_every=6", "--config.train.keep=9")
    return [f"{path}:tiny", "--workdir", str(run), *flags]
