"""One training by several processes, each with the devices of its own machine: how they meet, keep in step and end.

All of them run the same program on the same config. They share a file system: the first one writes the run folder, the
others only read it. What they must do together, because devices of all take part, every process does at the same step.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils

from dlvr_jax.errors import UserError, said

COORDINATOR = "DLVR_COORDINATOR"  # HOST:PORT of the first process, or auto; a training is by one process without it
NUM_PROCESSES = "DLVR_NUM_PROCESSES"  # beside HOST:PORT: how many there are
PROCESS_ID = "DLVR_PROCESS_ID"  # and which this is, from 0


def is_first() -> bool:
    """Whether this is the process that writes and tells."""
    return distributed.global_state.process_id == 0  # asking JAX itself would make its devices, too early


@contextmanager
def together() -> Iterator[int]:
    """Meets the others, where `DLVR_COORDINATOR` asks for it, and parts from them at the end; how many they all are.

    Of several only the first one prints. One that fails ends at once: to part from others, JAX would wait for them, and
    they for it. They end too, as soon as they need it or JAX misses its heartbeat.

    Raises:
        UserError: the variables are wrong, or another process is gone.
    """
    count = _join()
    if count == 1:
        yield 1
        return
    try:
        with contextlib.nullcontext() if is_first() else _silent():
            yield count
            meet()
    except jax.errors.JaxRuntimeError as error:
        _leave_at_once(1)
        again = "give the same command to all of them again, which goes on from the last checkpoint"
        raise UserError(f"a computation of {count} processes fails: {said(error)}; {again}") from error
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        _leave_at_once(128 + signal.SIGINT if interrupted else error.code if isinstance(error, UserError) else 1)
        raise


def meet(step: int = 0) -> None:
    """Waits for the other processes, if there are any.

    Raises:
        UserError: they are at other steps.
    """
    if jax.process_count() == 1:
        return
    steps = multihost_utils.process_allgather(np.int32(step)).tolist()
    if len(set(steps)) > 1:
        found = ", ".join(map(str, steps))
        raise UserError(f"the processes find checkpoints of steps {found}; all must see the same --workdir")


def heard(number: int | None, meeting: bool) -> int | None:
    """The signal that this process got, if any. Of several processes what any of them got, once they are `meeting`."""
    if jax.process_count() == 1:
        return number
    if not meeting:
        return None
    return int(np.max(multihost_utils.process_allgather(np.int32(number or 0)))) or None


def whole(tree: Any) -> Any:
    """The tree with every leaf at hand for this process alone; where processes share out a leaf, all must ask."""

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            return leaf
        if leaf.is_fully_replicated:
            return leaf.addressable_data(0)
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(one, tree)


def _join() -> int:
    """Tells JAX of the others, before it makes its devices."""
    where = os.environ.get(COORDINATOR)
    if not where or where == "auto":
        _check_unset(NUM_PROCESSES, PROCESS_ID)
    if not where:
        return 1
    known = {} if where == "auto" else _named(where)
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    print(f"meets the other processes ({COORDINATOR}={where}), waits five minutes for them ...", file=sys.stderr)
    try:
        with _ended_by_ctrl_c():
            jax.distributed.initialize(**known)
    except (ValueError, RuntimeError) as error:
        unknown = not known and isinstance(error, ValueError)
        why = "JAX finds no cluster here; give HOST:PORT" if unknown else f"the processes cannot meet: {said(error)}"
        raise UserError(f"{COORDINATOR}={where}: {why}") from None
    return int(distributed.global_state.num_processes)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """At once: Python's own handler would wait for JAX."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _named(where: str) -> dict[str, Any]:
    """What else the environment must say; nothing is to be guessed from a cluster's own variables then."""
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"{COORDINATOR}={where}: is neither auto nor HOST:PORT, with a port below 65536")
    count, number = _number(NUM_PROCESSES), _number(PROCESS_ID)
    if count < 1:
        raise UserError(f"{NUM_PROCESSES}={count}: must be at least 1")
    if number >= count:
        raise UserError(f"{PROCESS_ID}={number}: is not between 0 and {NUM_PROCESSES}={count}, less one")
    if number == 0:
        _check_free(where, int(port))
    return {
        "coordinator_address": where,
        "num_processes": count,
        "process_id": number,
        "cluster_detection_method": "deactivate",
    }


def _check_unset(*names: str) -> None:
    """Raises UserError where one is set that is heeded only beside HOST:PORT."""
    for name in names:
        if value := os.environ.get(name):
            raise UserError(f"{name}={value}: needs {COORDINATOR}=HOST:PORT, where the processes meet; or unset {name}")


def _check_free(where: str, port: int) -> None:
    """Raises UserError where another program listens at the port, at which JAX would crash."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("", port))
        except OSError as error:
            raise UserError(f"{COORDINATOR}={where}: {said(error)}; give a free port") from None


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise UserError(
            f"{name}={text}: is not a number; {COORDINATOR}=HOST:PORT needs {NUM_PROCESSES} and {PROCESS_ID}"
        )
    return int(text)


@contextmanager
def _silent() -> Iterator[None]:
    """What the first process prints, the others need not."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def _leave_at_once(code: Any) -> None:
    """At the end, when the fault is printed: without JAX's parting, which comes after this."""

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    atexit.register(leave)
