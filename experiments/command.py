"""What every program here begins and ends with: arguments, and how a fault becomes a line and an exit code.

`DLVR_TRACEBACK=1` shows where a fault comes from: for who writes a model or a config.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from dlvr_jax.errors import UserError, said
from dlvr_jax.schema import Between

SEEDS = Between(0, 2**32 - 1)


class Arguments(argparse.ArgumentParser):
    """argparse whose faults are UserErrors."""

    def error(self, message: str) -> NoReturn:
        """Instead of usage and exit code 2."""
        raise UserError(f"{self.prog}: {message}; {self.format_usage().strip()}")

    def add_whole(self, flag: str, range: Between, **settings: Any) -> None:
        """Adds an argument that is a whole number in a range; `settings` are those of `add_argument`."""

        def read(text: str) -> int:
            try:
                number = int(text)
            except ValueError:
                raise UserError(f"{flag} {text}: is not a whole number") from None
            if number not in range:
                raise UserError(f"{flag} {number}: must be {range}")
            return number

        self.add_argument(flag, type=read, **settings)


def arguments(verb: str, about: str) -> Arguments:
    """The parser of one verb; abbreviations of flags are not guessed.

    Raises:
        UserError: the environment makes it one of several processes, which only `train` can be.
    """
    if verb != "train" and os.environ.get("DLVR_COORDINATOR"):
        raise UserError(f"{verb}: DLVR_COORDINATOR makes one training of several processes; unset it")
    return Arguments(prog=f"launch.sh {verb}", description=about, allow_abbrev=False)


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: with the processes and folders that were made for it."""

    def end(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(program: Callable[[Sequence[str]], int | None]) -> None:
    """Runs a program on the command line's arguments and exits with its code; a user's mistake is printed, code 1."""
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.default_int_handler):  # by `experiments.__main__`
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout, sys.stderr = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()  # where they are closed
    try:
        code = program(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        code = _print_faults(error.faults, error)
    except BrokenPipeError:  # the reader has seen enough: `| head`
        for stream in (sys.stdout, sys.stderr):  # for what is still to be flushed at the end
            with contextlib.suppress(OSError):  # it was closed from the start
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        code = 128 + signal.SIGPIPE
    except OSError as error:
        code = _print_faults((f"{error.filename}: {error.strerror}" if error.filename else str(error),), error)
    except RuntimeError as error:
        from jax.errors import JaxRuntimeError  # here, since some programs need no JAX

        if not isinstance(error, JaxRuntimeError):
            raise
        code = _print_faults((f"a computation fails: {said(error)}; DLVR_TRACEBACK=1 shows where",), error)
    except KeyboardInterrupt:
        print("interrupted; what was saved is whole: the same command takes it up, or starts again", file=sys.stderr)
        code = 128 + signal.SIGINT
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is being compiled is waited for: the next one ends that
    sys.exit(code)


def _print_faults(faults: Sequence[str], error: Exception) -> int:
    """One line each; where they come from only if asked for."""
    if os.environ.get("DLVR_TRACEBACK"):
        traceback.print_exception(error)
    for fault in faults:
        print(f"error: {' '.join(fault.split())}", file=sys.stderr)
    return error.code if isinstance(error, UserError) else 1
