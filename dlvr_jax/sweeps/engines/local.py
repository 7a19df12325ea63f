"""Trainings as processes on this machine, each with its share of the cores, or of an accelerator's memory."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dlvr_jax.sweeps.engines.engine import Ended, last_line
from dlvr_jax.sweeps.engines.process import start


class Local:
    """Starts a process for each training."""

    def __init__(self, workers: int) -> None:
        """`workers`: how many trainings share the machine."""
        cores = max(len(os.sched_getaffinity(0)) // workers, 1)
        share = {"NPROC": str(cores), "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / workers:.3f}"}
        self._environment = {**share, **os.environ}
        self._live: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def train(self, arguments: Sequence[str], log: Path) -> Ended:
        """See Engine."""
        if self._stopped:
            return Ended(-signal.SIGTERM, "not started")
        process = start(arguments, log, self._environment)
        self._live.add(process)
        if self._stopped:  # meanwhile
            process.terminate()
        try:
            return Ended(process.wait(), last_line(log))
        finally:
            self._live.discard(process)

    def stop(self) -> None:
        """See Engine."""
        self._stopped = True
        for process in list(self._live):
            process.terminate()
