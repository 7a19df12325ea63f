"""One training by two processes that meet over a port, each with one CPU device."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dlvr_jax.run import TIMES, Run
from tests.end_to_end.test_processes import TINY, end, kill, start, summary, wait_for

# XLA takes a thread for each device at least, and the number of threads decides the bits.
MESH = ("--config.mesh.data=2",)
CARRY = "configs/modern_rnn/lstm_shakespeare_1m.py:tiny"  # whose rows are split over the processes
LONG = ("--config.train.steps=240", "--config.train.log_every=4", "--config.train.checkpoint_every=8")
THREADS = {"NPROC": "2", "JAX_PLATFORMS": "cpu"}
Two = list[subprocess.Popen]


def start_two(*arguments: str, config: str = TINY) -> Two:
    """The same command twice, as processes 0 and 1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    own = [{"DLVR_COORDINATOR": where, "DLVR_NUM_PROCESSES": "2", "DLVR_PROCESS_ID": str(k)} for k in range(2)]
    return [start(config, *MESH, *arguments, **THREADS, **variables) for variables in own]


@contextmanager
def both(processes: Two) -> Iterator[Two]:
    """Leaves none behind."""
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                kill(process)


def lines(folder: Path) -> list[dict]:
    """The metrics without their times."""
    return [{key: value for key, value in line.items() if key not in TIMES} for line in Run(folder).metrics()]


def assert_same(folder: Path, other: Path) -> None:
    assert summary(folder)["params_sha256"] == summary(other)["params_sha256"]
    assert lines(folder) == lines(other)


@pytest.mark.parametrize("config", [TINY, pytest.param(CARRY, marks=pytest.mark.slow)])
def test_two_processes_train_what_one_with_two_devices_does(config: str, tmp_path: Path) -> None:
    alone = start(config, *MESH, "--workdir", str(tmp_path / "one"), **THREADS)
    with both(start_two("--workdir", str(tmp_path / "two"), config=config)) as processes:
        (code, output, errors), (other, more, _) = [end(process) for process in processes]
    assert code == other == 0, errors
    assert "test/accuracy" in output and "test/accuracy" not in more  # the first one tells
    code, _, errors = end(alone)
    assert code == 0, errors
    assert_same(tmp_path / "one", tmp_path / "two")
    environment = json.loads((tmp_path / "two" / "environment.json").read_text())
    assert environment["form"]["processes"] == 2 and environment["device"]["count"] == 2
    assert (tmp_path / "two" / "report.html").exists()


@pytest.mark.slow
def test_two_processes_that_share_out_parameters_train_what_one_does(tmp_path: Path) -> None:
    parts = ("--config.mesh.data=1", "--config.mesh.fsdp=2", "--config.train.ema=0.9")
    with both(start_two(*parts, "--workdir", str(tmp_path / "two"))) as processes:
        (code, _, errors), (other, _, _) = [end(process) for process in processes]
    assert code == other == 0, errors
    assert end(start(TINY, *MESH, *parts, "--workdir", str(tmp_path / "one"), **THREADS))[0] == 0
    assert_same(tmp_path / "one", tmp_path / "two")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    with both(start_two(*LONG, "--workdir", str(folder))) as processes:
        assert [end(process)[0] for process in processes] == [0, 0]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_where_one_is_killed_the_other_ends_and_both_go_on(victim: int, undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with both(start_two(*LONG, "--workdir", str(folder))) as processes:
        wait_for(folder / "checkpoints" / "16", processes[0])
        kill(processes[victim])
        killed = time.monotonic()
        assert end(processes[1 - victim])[0] != 0
        assert time.monotonic() - killed < 100  # when JAX misses the heartbeat at the latest
    assert not (folder / "summary.json").exists()
    with both(start_two(*LONG, "--workdir", str(folder))) as processes:
        (code, _, errors), (other, _, _) = [end(process) for process in processes]
    assert code == other == 0 and "goes on from step" in errors, errors
    assert_same(undisturbed, folder)


@pytest.mark.slow
def test_a_signal_to_one_stops_both_at_the_same_step(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with both(start_two(*LONG, "--workdir", str(folder))) as processes:
        wait_for(folder / "checkpoints" / "8", processes[0])
        processes[1].send_signal(signal.SIGTERM)
        (code, _, errors), (other, _, _) = [end(process) for process in processes]
    assert code == other == 143 and "SIGTERM: saved at step" in errors, errors
    with both(start_two(*LONG, "--workdir", str(folder))) as processes:
        assert [end(process)[0] for process in processes] == [0, 0]
    assert_same(undisturbed, folder)
