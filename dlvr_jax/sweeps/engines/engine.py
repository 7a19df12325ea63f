"""What every engine does: train one job somewhere, and say how that ended."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Ended:
    """How a training's process ended: its exit code (below 0 the signal that killed it), and its last line."""

    code: int
    said: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, with or without time to save its state."""
        return self.code < 0 or self.code > 128


@runtime_checkable
class Engine(Protocol):
    """Where trainings run. `train` is called from several threads at once, as many as there are workers."""

    def train(self, arguments: Sequence[str], log: Path) -> Ended:
        """Runs `train ARGUMENT ...` to its end, with what it prints added to `log`."""
        ...

    def stop(self) -> None:
        """Lets the trainings under way save their states and end, and starts no other."""
        ...


def last_line(log: Path) -> str:
    """What a training said last: its error, where it names one."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"error: |[\w.]+(Error|Exception): ", line)]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")
