"""A training in a process of its own, watched through its run folder, so that it can be killed at a chosen moment."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlvr_jax.errors import UserError
from dlvr_jax.run import Run

Kind = Literal["start", "step", "save"]


@dataclass(frozen=True)
class Aim:
    """When to kill: while starting; at a step; or at the first save after it."""

    kind: Kind
    step: int
    delay: float  # seconds after that


@dataclass(frozen=True)
class Kill:
    """One kill that hit a live process."""

    aim: Aim
    step: int  # the last logged before it, 0 for none
    during_save: bool  # it left a checkpoint half-written


class TrainingProcess:
    """One process; leaving the context ends it."""

    def __init__(self, command: Sequence[str], run: Run, log: Path) -> None:
        self._run, self._log = run, log
        self._metrics = run.path / "metrics.jsonl"
        self._before = self._stamp()
        self._due: float | None = None
        self._read: tuple[tuple[int, int] | None, int] = (None, 0)  # which metrics were read last, and their last step
        self._started = time.monotonic()
        with log.open("ab") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)

    def __enter__(self) -> "TrainingProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.alive():
            self._process.kill()
        self._process.wait()

    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Until it ends."""
        self._process.wait()

    def training(self) -> bool:
        """Whether the loop has begun: it writes the metrics anew first, cut back to its checkpoint."""
        return self._stamp() != self._before

    def due(self, aim: Aim) -> bool:
        """Whether the moment has come; the delay counts from when the aim's condition was first seen to hold."""
        if self._due is None and self._holds(aim):
            self._due = (self._started if aim.kind == "start" else time.monotonic()) + aim.delay
        return self._due is not None and time.monotonic() >= self._due

    def kill(self, aim: Aim) -> Kill | None:
        """Kills it; None if it ended by itself before."""
        if not self.alive():
            return None
        self._process.kill()
        if self._process.wait() >= 0:  # it ended by itself just before
            return None
        return Kill(aim, self._step(), self.training() and self._saving())  # what an earlier process left is cleaned

    def check(self) -> None:
        """Raises UserError if it failed, with its last line."""
        if self._process.returncode:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"]
            said = lines[-1].removeprefix("error: ")
            raise UserError(f"the training failed with exit code {self._process.returncode}: {said}; see {self._log}")

    def _holds(self, aim: Aim) -> bool:
        if aim.kind == "start":
            return True
        if not self.training() or self._step() < aim.step:
            return False
        return aim.kind == "step" or self._saving()

    def _step(self) -> int:
        """The last step logged; read only when there is something new."""
        stamp = self._stamp()
        if stamp != self._read[0]:
            lines = self._run.metrics()
            self._read = stamp, lines[-1]["step"] if lines else 0
        return self._read[1]

    def _saving(self) -> bool:
        return any(self._run.checkpoints.glob(".tmp-*"))

    def _stamp(self) -> tuple[int, int] | None:
        """Which file the metrics are, and since when; None before there are any."""
        try:
            status = self._metrics.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns
