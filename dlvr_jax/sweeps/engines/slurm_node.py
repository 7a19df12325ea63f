"""What a Slurm job does on its node: it trains in the very process that Slurm signals, which so can save its state."""

import os
import runpy
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlvr_jax.sweeps.engines.engine import Ended, last_line


def train_here(arguments: Sequence[str], log: Path) -> Ended:
    """On the node, in this process; submitit hands the result back."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which submitit would pass over
    sys.argv[1:] = arguments
    with _printed_to(log):
        try:
            runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Exception:
            traceback.print_exc()
            code = 1
    return Ended(code, last_line(log))


@contextmanager
def _printed_to(log: Path) -> Iterator[None]:
    """Adds to `log` what this process prints, also by its libraries."""
    streams = (sys.stdout, sys.stderr)
    kept = [os.dup(stream.fileno()) for stream in streams]
    with log.open("ab") as file:
        for stream in streams:
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    try:
        yield
    finally:
        for stream, before in zip(streams, kept, strict=True):
            stream.flush()
            os.dup2(before, stream.fileno())
