"""What only whole processes show: signals, the compilation cache between them, libraries that must not be there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlvr_jax.config import ROOT

TINY = "configs/cnn/lenet5_digits.py:tiny"


def start(*arguments: str, **environment: str) -> subprocess.Popen:
    """`launch.sh train` without its set-up."""
    path = os.pathsep.join(filter(None, [environment.pop("PYTHONPATH", ""), str(ROOT)]))
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", "train", *arguments],
        env={**os.environ, **environment, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> tuple[int, str, str]:
    """Waits: exit code, stdout, stderr."""
    with process:
        output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def kill(process: subprocess.Popen) -> None:
    process.kill()
    end(process)


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Until the file is there, or the process is not."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.05)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_a_second_process_with_another_learning_rate_compiles_nothing(tmp_path: Path) -> None:
    cache = {"DLVR_CACHE": str(tmp_path / "cache")}
    for name, rate in (("first", "0.002"), ("second", "0.004")):
        flags = ["--workdir", str(tmp_path / name), f"--config.optimizer.learning_rate={rate}"]
        code, _, errors = end(start(TINY, *flags, **cache))
        assert code == 0, errors
    first, second = summary(tmp_path / "first")["compiled"], summary(tmp_path / "second")["compiled"]
    assert first["cache_hits"] < first["programs"] == second["programs"] == second["cache_hits"]


@pytest.fixture
def heeding_interrupts() -> Iterator[None]:
    """Where SIGINT is ignored, as in the background, children would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_interrupts")
def test_an_interrupt_during_the_imports_is_one_line() -> None:
    process = start(TINY, PYTHONPROFILEIMPORTTIME="1")
    assert process.stderr is not None
    while "numpy" not in process.stderr.readline():  # of the imports of `train`, after those of `__main__`
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, errors = end(process)
    own = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert code == 130 and own == ["interrupted; nothing was lost: the same command starts again"]


@pytest.mark.usefixtures("heeding_interrupts")
def test_an_interrupt_before_the_first_step_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    process = start(TINY, "--config.model.name=mine.Net", PYTHONPATH=str(tmp_path))
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    code, _, errors = end(process)
    assert code == 130 and errors == (
        "interrupted; what was saved is whole: the same command takes it up, or starts again\n"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_a_checkpoint_and_says_how_to_go_on(number: signal.Signals, code: int, tmp_path: Path) -> None:
    flags = [
        "--workdir",
        str(tmp_path / "run"),
        "--config.train.steps=100000",
        "--config.train.checkpoint_every=100000",
    ]
    process = start(TINY, *flags)
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(number)
    found, _, errors = end(process)
    assert found == code, errors
    assert "the same command goes on from there" in errors and "Traceback" not in errors
    saved = list((tmp_path / "run" / "checkpoints").iterdir())
    assert len(saved) == 1 and f"saved at step {saved[0].name}" in errors


def test_a_reader_that_has_seen_enough_ends_the_training_as_a_broken_pipe_does(tmp_path: Path) -> None:
    with start(TINY, "--workdir", str(tmp_path / "run")) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE and "Traceback" not in errors, errors
    code, _, errors = end(start(TINY, "--workdir", str(tmp_path / "run")))
    assert code == 0, errors


def test_a_folder_in_use_is_refused_and_a_stale_lock_is_no_obstacle(tmp_path: Path) -> None:
    flags = [TINY, "--workdir", str(tmp_path / "run"), "--config.train.steps=100000"]
    first = start(*flags)
    wait_for(tmp_path / "run" / "metrics.jsonl", first)
    code, _, errors = end(start(*flags))
    assert code == 16 and "is in use by another process" in errors and len(errors.splitlines()) == 1, errors
    kill(first)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    third = start(*flags)
    wait_for(tmp_path / "run" / "metrics.jsonl", third)
    assert third.poll() is None
    kill(third)


def test_the_whole_run_needs_neither_tensorflow_nor_torch(tmp_path: Path) -> None:
    for name in ("tensorflow", "torch"):
        (tmp_path / "fake" / name).mkdir(parents=True)
        (tmp_path / "fake" / name / "__init__.py").write_text(f'raise RuntimeError("{name} was imported")')
    process = start(
        "configs/cnn/lenet5_digits.py",
        "--workdir",
        str(tmp_path / "run"),
        "--config.train.epochs=3",
        "--config.data.backing=stream",
        PYTHONPATH=str(tmp_path / "fake"),
        DLVR_CACHE=str(tmp_path / "cache"),
    )
    code, _, errors = end(process)
    assert code == 0, errors
    assert (tmp_path / "run" / "report.html").exists() and (tmp_path / "run" / "tensorboard").exists()


def test_without_a_terminal_progress_is_plain_lines(tmp_path: Path) -> None:
    code, output, errors = end(start(TINY, "--workdir", str(tmp_path / "run")))
    assert code == 0, errors
    assert "\x1b" not in output + errors and "\r" not in output + errors
    assert (
        "step 16: validation" in errors
        and "test/accuracy" in output
        and str(tmp_path / "run" / "report.html") in output
    )
