"""Trainings as actors of a Ray cluster (https://docs.ray.io).

The project, its environment, the cache and the sweep's folder lie at the same paths on all nodes. Ray finds a node with
enough free cores, and a free share of an accelerator. A training whose node is lost is tried again by the driver, which
knows whether it had got further; Ray itself retries nothing.
"""

import math
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from dlvr_jax.errors import UserError
from dlvr_jax.sweeps.engines.engine import Ended, last_line
from dlvr_jax.sweeps.engines.process import search_path, start

PAUSE = 0.2  # seconds between two looks
PASSED_ON = ("DLVR_", "JAX_", "NPROC", "XLA_")  # variables of the driver's that its trainings get, wherever they run


class Ray:
    """Starts an actor for each training; a task could not be asked to end, but only be torn off."""

    def __init__(self, address: str, workers: int) -> None:
        """`address`: HOST:PORT of the cluster, or auto; `workers`: how many trainings share the cluster.

        Raises:
            UserError: Ray is not installed, or no cluster answers.
        """
        try:
            import ray
        except ImportError:
            command = f"{sys.executable} -m pip install ray"
            raise UserError(f"--launcher ray needs Ray (the extra ray): {command}") from None
        _connect(address)
        self._ray: Any = ray
        there = ray.cluster_resources()
        cores = cores_of_each([node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]], workers)
        gpus = 1 / math.ceil(max(workers / there["GPU"], 1)) if there.get("GPU") else 0
        share = {"NPROC": str(cores), "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 * gpus or 0.9:.3f}"}
        self._settings = share | {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        self._actor = ray.remote(num_cpus=cores, num_gpus=gpus, max_concurrency=2)(OnNode)
        self._live: set[Any] = set()
        self._stopped = False

    def train(self, arguments: Sequence[str], log: Path) -> Ended:
        """See Engine."""
        if self._stopped:
            return Ended(-signal.SIGTERM, "not started")
        actor = self._actor.remote()
        self._live.add(actor)
        if self._stopped:  # meanwhile
            actor.stop.remote()
        try:
            ended: Ended = self._ray.get(actor.train.remote(list(arguments), log, self._settings))
        except self._ray.exceptions.RayError as error:
            return Ended(-signal.SIGKILL, f"{type(error).__name__}; the last line is: {last_line(log)}")
        finally:
            self._live.discard(actor)
            self._ray.kill(actor)
        return ended

    def stop(self) -> None:
        """See Engine."""
        self._stopped = True
        for actor in list(self._live):
            actor.stop.remote()


class OnNode:
    """One training, as a process, so that its memory is free afterwards."""

    def __init__(self) -> None:
        self._stopping = Event()

    def train(self, arguments: Sequence[str], log: Path, settings: Mapping[str, str]) -> Ended:
        """Runs it to its end."""
        process = start(arguments, log, {**os.environ, **settings})
        while process.poll() is None:
            if self._stopping.wait(PAUSE):
                process.terminate()
                break
        return Ended(process.wait(), last_line(log))

    def stop(self) -> None:
        """Lets it save its state and end; called from another thread."""
        self._stopping.set()


def _connect(address: str) -> None:
    import ray

    try:
        if address != "auto":  # since Ray itself tries for a minute and more
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        environment = {"env_vars": {"PYTHONPATH": search_path(os.environ)}}
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"--launcher ray: no cluster answers at --address {address}: {said}") from None


def cores_of_each(nodes: Sequence[float], workers: int) -> int:
    """The most with which so many trainings run at once; 1 where not even that lets them."""
    most = int(max(nodes, default=1))
    return next((cores for cores in range(most, 1, -1) if sum(node // cores for node in nodes) >= workers), 1)
