"""A sweep of half a minute for every engine: 4 points of 2 seeds, in 4 programs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dlvr_jax import config
from dlvr_jax.run import Run
from dlvr_jax.sweeps.collect import Row, judge_of, points
from dlvr_jax.sweeps.folder import SweepFolder
from dlvr_jax.sweeps.plan import Base
from dlvr_jax.sweeps.space import read
from dlvr_jax.training.checkpoint import steps

TINY = "configs/cnn/lenet5_digits.py:tiny"
PLAN = """
def get_sweep(arg=""):
    return dict(
        seeds=(0, 1), members=2, grid={"optimizer.learning_rate": (1e-3, 3e-3), "train.batch_size": (8, 16)}
    )
"""
CADENCE = {"log_every": 20, "eval_every": 100, "checkpoint_every": 20}
FLAGS = [
    "--config.train.steps=600",
    "--config.population.strategy=vmap",  # which else is measured, and decides the bits
    *(f"--config.train.{key}={value}" for key, value in CADENCE.items()),
]
PATIENCE = 600  # seconds


def start(folder: Path, *more: object) -> subprocess.Popen:
    """The sweep's command; given again, it goes on."""
    plan = folder.with_suffix(".py")
    plan.write_text(PLAN)
    command = [sys.executable, "-m", "experiments.sweep", TINY, "--sweep", plan, "--workdir", folder, *FLAGS, *more]
    paths = os.pathsep.join([str(config.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "NPROC": "1"}  # the number of threads decides the bits
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(list(map(str, command)), cwd=config.ROOT, env=environment, stdout=log, stderr=log)


def finish(folder: Path, process: subprocess.Popen) -> None:
    """Waits until the sweep has ended well."""
    assert process.wait(PATIENCE) == 0, folder.with_suffix(".log").read_text()


def rows(folder: Path) -> list[Row]:
    """The sweep's trainings, in order, without how long they took."""
    source = config.find(TINY)
    base = Base(source, config.load(source), config.flags(FLAGS))
    sweep = read(config.call(config.find(str(folder.with_suffix(".py"))), "get_sweep"), "the plan")
    found = [row for point in points(SweepFolder(folder), base, judge_of(base, sweep)) for row in point.rows]
    return [Row(**{**vars(row), "seconds": None}) for row in found]


def logs(folder: Path) -> str:
    """What the trainings printed."""
    return "".join(path.read_text() for path in sorted((folder / "logs").glob("*.log")))


def under_way(folder: Path) -> list[str]:
    """The names of the runs that have a checkpoint and are not finished."""
    runs = [Run(path) for path in (folder / "runs").glob("*")]
    return [run.path.name for run in runs if steps(run.checkpoints) and run.summary() is None]


def until(condition: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Waits for it; fails where the process ends before."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end and (process is None or process.poll() is None)
        time.sleep(0.1)
