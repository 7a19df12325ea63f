"""A sweep whose processes are killed, the driver among them, ends as one that is left in peace."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.sweeps import tiny_sweep

PAUSE = (2.0, 6.0)  # seconds between two kills


def processes(folder: Path) -> list[int]:
    """The driver and all trainings, also those that a killed driver has left behind."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"--workdir" in arguments and any(argument.startswith(bytes(folder)) for argument in arguments):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_a_sweep_in_chaos_ends_as_one_in_peace(tmp_path: Path, undisturbed: list[tiny_sweep.Row]) -> None:
    seed = random.SystemRandom().randrange(10_000)
    rng, folder, killed = random.Random(seed), tmp_path / "sweep", {"driver": 0, "training": 0}
    driver = tiny_sweep.start(folder, "--workers", 4)
    end = time.monotonic() + tiny_sweep.PATIENCE
    while driver.poll() is None or driver.returncode == -signal.SIGKILL:
        assert time.monotonic() < end, (seed, killed)
        if driver.poll() is not None:
            driver = tiny_sweep.start(folder, "--workers", 4)
        time.sleep(rng.uniform(*PAUSE))
        victims = processes(folder)
        if not set(victims) - {driver.pid}:  # a driver that has started nothing yet is spared, or it never would
            continue
        victim = rng.choice(victims)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed["driver" if victim == driver.pid else "training"] += 1
        if victim == driver.pid:
            driver.wait()
    print(f"seed {seed}, killed: {killed}")
    tiny_sweep.finish(folder, driver)
    assert tiny_sweep.rows(folder) == undisturbed, (seed, killed)
    assert min(killed.values()) > 0 and not list((folder / "failed").glob("*")), (seed, killed)
