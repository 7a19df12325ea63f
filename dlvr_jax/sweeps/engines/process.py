"""A training as a process of its own on this machine, however it came to be wanted here."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlvr_jax.config import ROOT


def start(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Starts `train ARGUMENT ...` anew (nothing is forked after JAX has begun), with what it prints added to `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.train", *arguments],
            env={**environment, "PYTHONPATH": search_path(environment)},
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C in the terminal is for the driver alone, which asks the trainings to stop
        )


def search_path(environment: Mapping[str, str]) -> str:
    """`PYTHONPATH` with this project first."""
    return os.pathsep.join([str(ROOT), *filter(None, [environment.get("PYTHONPATH")])])
