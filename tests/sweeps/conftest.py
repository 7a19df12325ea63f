"""What every engine's sweep is compared with."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.sweeps import tiny_sweep


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tiny_sweep.Row]:
    """The rows of the tiny sweep, run on this machine in peace; once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder: Path = shared / "undisturbed"
    with FileLock(shared / "undisturbed.lock"):
        tiny_sweep.finish(folder, tiny_sweep.start(folder, "--workers", 2))
    rows = tiny_sweep.rows(folder)
    assert [(row.point, row.seed) for row in rows] == [(point, seed) for point in range(4) for seed in (0, 1)]
    assert all(row.value is not None for row in rows) and len({row.run for row in rows}) == 4
    return rows
