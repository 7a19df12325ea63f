"""Trainings as processes on this machine, each with its share of the cores, the GPUs, or of a GPU's memory."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

from dlvr_jax.sweeps.engines.engine import Ended, last_line
from dlvr_jax.sweeps.engines.process import start


def gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def shares(workers: int, devices: Sequence[str]) -> list[dict[str, str]]:
    """What each worker's environment says of GPUs: its own ones, or one and a part of its memory. Empty without any."""
    if not devices:
        return [{} for _ in range(workers)]
    found = []
    for number in range(workers):
        one = number % len(devices)
        own, users = devices[number::workers] or [devices[one]], len(range(one, workers, len(devices)))
        found.append({"CUDA_VISIBLE_DEVICES": ",".join(own), "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / users:.3f}"})
    return found


class Local:
    """Starts a process for each training."""

    def __init__(self, workers: int) -> None:
        """`workers`: how many trainings share the machine."""
        cores = max(len(os.sched_getaffinity(0)) // workers, 1)
        self._environment = {"NPROC": str(cores), **os.environ}
        self._shares: SimpleQueue[dict[str, str]] = SimpleQueue()  # of the workers that train nothing now
        for share in shares(workers, gpus()):
            said = {name for name in share if name in os.environ and name != "CUDA_VISIBLE_DEVICES"}
            self._shares.put({name: text for name, text in share.items() if name not in said})
        self._live: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def train(self, arguments: Sequence[str], log: Path) -> Ended:
        """See Engine."""
        if self._stopped:
            return Ended(-signal.SIGTERM, "not started")
        share = self._shares.get()
        process = start(arguments, log, {**self._environment, **share})
        self._live.add(process)
        if self._stopped:  # meanwhile
            process.terminate()
        try:
            return Ended(process.wait(), last_line(log))
        finally:
            self._live.discard(process)
            self._shares.put(share)

    def stop(self) -> None:
        """See Engine."""
        self._stopped = True
        for process in list(self._live):
            process.terminate()
