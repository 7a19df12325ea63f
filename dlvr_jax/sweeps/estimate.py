"""What a program will cost, before it is trained: measured on the step of one member, and remembered in the cache.

    python -m dlvr_jax.sweeps.estimate CONFIG --config.KEY=VALUE ...

does that in a process of its own, so that a sweep's driver never holds the device that its trainings need.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp

from dlvr_jax import check, config, runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.benchmarks.cost import compiled_step, memory_of
from dlvr_jax.build import Experiment, build
from dlvr_jax.choose_form import remembered
from dlvr_jax.errors import UserError
from dlvr_jax.sections import devices_of

STEPS = 3  # that are timed
SHARE = 0.6  # of the free memory that a program may take
MOST = 64  # members of a program; more gain nothing on CPUs, and a lost process loses more


@dataclass(frozen=True)
class Estimate:
    """Of one member: what its step takes alone."""

    seconds_per_step: float
    member_bytes: int  # state and temporaries
    shared_bytes: int  # data, once for all members
    steps: int  # of the whole training
    room_bytes: int  # that are free for a program


@lru_cache
def estimate(arguments: tuple[str, ...]) -> Estimate:
    """Of the config and flags that `train` would be given, by a process of its own.

    Raises:
        UserError: that process failed, with its last line.
    """
    command = [sys.executable, "-m", "dlvr_jax.sweeps.estimate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        raise UserError(f"the step of {' '.join(arguments)} cannot be measured: {said[-1].removeprefix('error: ')}")
    return Estimate(**json.loads(done.stdout.splitlines()[-1]))


def most_members(found: Estimate, sharing: int) -> int:
    """As many as fit into the memory that is free, of which so many programs have a share each; and at least one."""
    room = found.room_bytes // sharing - found.shared_bytes
    return max(1, min(MOST, room // max(found.member_bytes, 1)))


def main(arguments: Sequence[str]) -> None:
    """Prints the estimate as JSON: compiles and times the step on zeros, unless that was done here before."""
    source, *rest = arguments
    complete = check.complete(config.load(config.find(source)), config.flags(rest))
    runtime.start(devices=devices_of(complete.flat))
    experiment = build(complete.flat)
    path = remembered("estimates", experiment)
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        measured = _measured(experiment)
        write_text(path, json.dumps(measured) + "\n")
    found = Estimate(**measured, steps=experiment.train.steps or 0, room_bytes=int(SHARE * _free_bytes()))
    print(json.dumps(asdict(found)))


def _measured(experiment: Experiment) -> dict[str, float]:
    program, arguments = compiled_step(experiment)
    state, resident, payload = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), arguments)
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, resident, payload))
        seconds.append(time.perf_counter() - started)
    shared = sum(leaf.nbytes for leaf in jax.tree.leaves(resident))
    memory = memory_of(program)
    own = sum(leaf.nbytes for leaf in jax.tree.leaves((state, payload))) if memory is None else memory.total - shared
    per_step = min(seconds) / experiment.train.steps_per_call
    return {"seconds_per_step": per_step, "member_bytes": max(own, 0), "shared_bytes": shared}


def _free_bytes() -> int:
    """Of the device; of a CPU those of the machine."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats["bytes_in_use"])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as fault:
        sys.exit(str(fault))
