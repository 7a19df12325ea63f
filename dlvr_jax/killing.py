"""Trainings in processes of their own, killed by SIGKILL at random moments and taken up again: what `prove` does.

A kill aims at a step, not at a second: how long a process takes to start and to compile says nothing about the next.
It falls a random part of a log interval after the target's line in `metrics.jsonl`, so anywhere between two lines.
Three aims make sure of what is rare: the start of a process, the first steps after it, and a save under way.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from dlvr_jax.errors import UserError
from dlvr_jax.run import Run
from dlvr_jax.training_process import Aim, Kill, Kind, TrainingProcess

POLL = 0.001  # seconds between two looks at the folder


@dataclass(frozen=True)
class Pace:
    """How fast an uninterrupted run goes."""

    start: float  # seconds from the process's start to its training loop
    interval: float  # median seconds between two lines of metrics
    last: int  # step

    @classmethod
    def of(cls, run: Run, start: float) -> "Pace":
        """From its metrics. Raises UserError where they are too few to aim by."""
        lines = run.metrics()
        seconds = [line["seconds"] for line in lines]
        if len(seconds) < 3:
            raise UserError(
                f"{run.path} logged {len(seconds)} lines only, too few to aim kills by; lower train.log_every"
            )
        return cls(start, median(b - a for a, b in pairwise(seconds)), lines[-1]["step"])


def train_whole(command: Sequence[str], run: Run, log: Path) -> Pace:
    """Runs a training to its end; how it went.

    Raises:
        UserError: it failed; with its last line.
    """
    started, start = time.monotonic(), None
    with TrainingProcess(command, run, log) as process:
        while process.alive():
            if start is None and process.training():
                start = time.monotonic() - started
            time.sleep(POLL)
    process.check()
    return Pace.of(run, start or 0.0)


def train_killed(
    command: Sequence[str], run: Run, log: Path, aims: Sequence[Aim], told: Callable[[Kill], None]
) -> None:
    """Runs a training to its end, killed at each aim in turn and then given again; each kill is told.

    Where the run ends before an aim, that aim and those after it are missed. A kill for a save that left none
    half-written counts as a kill; the next aim becomes the save then.

    Raises:
        UserError: a process failed by itself; with its last line.
    """
    waiting = list(aims)
    while True:
        with TrainingProcess(command, run, log) as process:
            while process.alive() and not (waiting and process.due(waiting[0])):
                time.sleep(POLL)
            kill = process.kill(waiting[0]) if waiting else None
            if kill is None:
                process.wait()
        if kill is None:
            process.check()
            return
        told(kill)
        missed_save = waiting.pop(0).kind == "save" and not kill.during_save
        if missed_save and waiting:
            waiting[0] = Aim("save", waiting[0].step, 0.0)


def aims(kills: int, pace: Pace, rng: random.Random) -> list[Aim]:
    """Random moments over the whole run in ascending order: one at a save, of three or more one at a start."""
    steps = sorted(rng.uniform(0, 0.9) * pace.last for _ in range(kills))
    kinds: list[Kind] = ["step"] * kills
    kinds[(kills - 1) // 2] = "save"
    if kills >= 3:
        kinds[rng.choice([number for number in range(kills) if kinds[number] == "step"])] = "start"
    spans = {"start": pace.start, "step": pace.interval, "save": 0.01}
    return [Aim(kind, int(step), rng.uniform(0, spans[kind])) for kind, step in zip(kinds, steps, strict=True)]
