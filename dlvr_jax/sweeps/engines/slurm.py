"""Trainings as Slurm jobs, submitted by submitit (https://github.com/facebookincubator/submitit).

The project, its environment, the cache and the sweep's folder lie on a file system that all nodes share. On the node
the training runs in the very process that Slurm signals: before the end of its time, and where it is preempted, it gets
SIGTERM, saves its state and ends with code 143; the driver then submits it again. Slurm itself requeues nothing.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from threading import Lock
from typing import Any

from dlvr_jax.errors import UserError
from dlvr_jax.sweeps.engines.engine import Ended, last_line
from dlvr_jax.sweeps.engines.process import search_path
from dlvr_jax.sweeps.engines.slurm_node import train_here

FLAG = "--slurm."
PAUSE = 2.0  # seconds between two looks at the queue
LATE = 10.0  # seconds that a result may take to be seen on a shared file system
DEFAULTS: Mapping[str, Any] = {"cpus-per-task": "1", "signal": "TERM@120", "no-requeue": True}


def options(flags: Sequence[str]) -> dict[str, Any]:
    """`--slurm.KEY=VALUE` and `--slurm.KEY` as sbatch's own options, `--KEY=VALUE` and `--KEY`."""
    given = (flag.removeprefix(FLAG).partition("=") for flag in flags)
    return {**DEFAULTS, **{key.replace("_", "-"): value if equals else True for key, equals, value in given}}


class Slurm:
    """Submits a job for each training, and looks after all of them in the queue."""

    def __init__(self, flags: Sequence[str]) -> None:
        """`flags`: see `options`.

        Raises:
            UserError: submitit is not installed, or this machine cannot submit jobs.
        """
        try:
            import submitit  # noqa: F401
        except ImportError:
            command = f"{sys.executable} -m pip install submitit"
            raise UserError(f"--launcher slurm needs submitit (the extra slurm): {command}") from None
        if lacking := [name for name in ("sbatch", "squeue", "scancel", "srun") if shutil.which(name) is None]:
            raise UserError(f"--launcher slurm: {lacking[0]} is not on PATH; start the sweep on a node of the cluster")
        self._options = options(flags)
        self._queue = _Queue()
        self._live: set[str] = set()  # numbers of jobs
        self._stopped = False

    def train(self, arguments: Sequence[str], log: Path) -> Ended:
        """See Engine.

        Raises:
            UserError: Slurm does not take the job.
        """
        if self._stopped:
            return Ended(-signal.SIGTERM, "not started")
        job = self._submit(arguments, log)
        self._live.add(job.job_id)
        if self._stopped:  # meanwhile
            _cancel([job.job_id])
        try:
            return self._ended(job, log)
        finally:
            self._live.discard(job.job_id)

    def stop(self) -> None:
        """See Engine."""
        self._stopped = True
        _cancel(sorted(self._live))

    def _submit(self, arguments: Sequence[str], log: Path) -> Any:
        import submitit

        cores = self._options["cpus-per-task"]
        executor = submitit.SlurmExecutor(log.parent / "slurm")
        executor.update_parameters(
            job_name=log.stem,
            time=None,  # as the partition has it
            setup=[f"export NPROC={os.environ.get('NPROC', cores)} PYTHONPATH={quote(search_path(os.environ))}"],
            srun_args=[f"--cpus-per-task={cores}"],  # which srun does not take over from sbatch
            additional_parameters=self._options,
        )
        try:
            return executor.submit(train_here, list(arguments), log)
        except submitit.core.utils.FailedJobError as error:
            said = [line for line in str(error).splitlines() if line.startswith("sbatch: error: ")]
            raise UserError(f"sbatch: {said[0].removeprefix('sbatch: error: ') if said else error}") from None

    def _ended(self, job: Any, log: Path) -> Ended:
        """Waits until the job has left a result, or is gone without one: killed, cancelled, or its node lost."""
        result: Path = job.paths.result_pickle
        time.sleep(PAUSE)  # so that the queue was asked after the job was submitted
        while not result.exists() and self._queue.has(job.job_id):
            time.sleep(PAUSE)
        late = time.monotonic() + LATE
        while not result.exists() and time.monotonic() < late:
            time.sleep(PAUSE)
        if not result.exists():
            return Ended(-signal.SIGKILL, f"job {job.job_id} is gone; the last line is: {last_line(log)}")
        if (fault := job.exception()) is not None:
            return Ended(-signal.SIGKILL, f"job {job.job_id} failed: {str(fault).splitlines()[-1]}")
        ended: Ended = job.result()
        return ended


class _Queue:
    """The jobs of this user, asked for once for all threads that want to know."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._jobs: set[str] = set()
        self._asked = -PAUSE

    def has(self, job: str) -> bool:
        """Whether the job waits or runs; so it is taken to be while Slurm does not answer."""
        with self._lock:
            if time.monotonic() - self._asked >= PAUSE:
                done = subprocess.run(["squeue", "--me", "--noheader", "--format=%A"], capture_output=True, text=True)
                if done.returncode:
                    return True
                self._jobs, self._asked = set(done.stdout.split()), time.monotonic()
            return job in self._jobs


def _cancel(jobs: Sequence[str]) -> None:
    """Takes back what waits; what runs is asked to save its state and to end."""
    if jobs:
        subprocess.run(["scancel", "--quiet", "--state=PENDING", *jobs])
        subprocess.run(["scancel", "--quiet", "--signal=TERM", *jobs])
