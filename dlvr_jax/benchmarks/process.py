"""One side of a measurement, as a process that does what it is told: a line in, a line of JSON out.

Both sides are of this kind, so that each has the machine's threads and memory to itself, and they can take turns.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import IO, Any

from dlvr_jax.errors import UserError

_STARTED = "MEASURED_SINCE"  # when a side was started


class Processes:
    """Those that threads have started and wait for: an error kills them, and what is added later, so that all ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: list[subprocess.Popen[str]] = []
        self._ended = False

    def add(self, process: subprocess.Popen[str]) -> None:
        """One that has just been started."""
        with self._lock:
            self._all.append(process)
            if self._ended:
                process.kill()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        with self._lock:
            self._ended = True
            for process in self._all:
                process.kill()


class Side:
    """A process that was started and has said what it is: `told`.

    Its process is added to `processes` as soon as it runs, so that an error elsewhere ends it.

    Raises:
        UserError: it ended instead; with the last line that it wrote to stderr.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], processes: Processes) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, closed by `end`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment, _STARTED: str(time.time())},
            text=True,
        )
        processes.add(self._process)
        self.told: dict[str, Any] = self._answer()

    def ask(self, *words: str | int) -> Any:
        """What it answers to a line of these words."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its answer is missing as well, which says why
            print(*words, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["nothing was said"]
        self.end()
        if lines[-1].startswith("error: "):
            raise UserError(lines[-1].removeprefix("error: "))
        raise UserError(f"a measured process ended with exit code {code}: {lines[-1]}")


def serve(told: Mapping[str, Any], commands: Mapping[str, Callable[..., Any]], out: IO[str]) -> None:
    """The other end: says what it is, then answers each line (a command and whole numbers) by a line."""
    print(json.dumps(told), file=out, flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        print(json.dumps(commands[name](*map(int, numbers))), file=out, flush=True)


def seconds_since_start() -> float:
    """How long ago the other side started this process."""
    return time.time() - float(os.environ[_STARTED])


def run(side: Callable[..., None]) -> None:
    """Runs a side on the command line's arguments; a user's mistake becomes its last line."""
    try:
        side(*sys.argv[1:])
    except UserError as error:
        print(f"error: {'; '.join(error.faults)}", file=sys.stderr)
        sys.exit(1)


def own_stdout() -> IO[str]:
    """The stream for answers; what anything else prints goes to stderr from now on."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out
