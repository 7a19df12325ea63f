"""What every program here begins and ends with: arguments, and how a fault becomes a line and an exit code."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from dlvr_jax.errors import UserError


class Arguments(argparse.ArgumentParser):
    """argparse whose faults are UserErrors."""

    def error(self, message: str) -> NoReturn:
        """Instead of usage and exit code 2."""
        raise UserError(f"{self.prog}: {message}; {self.format_usage().strip()}")


def arguments(verb: str, about: str) -> Arguments:
    """The parser of one verb; abbreviations of flags are not guessed."""
    return Arguments(prog=f"launch.sh {verb}", description=about, allow_abbrev=False)


def main(program: Callable[[Sequence[str]], int | None]) -> None:
    """Runs a program on the command line's arguments and exits with its code; a user's mistake is printed, code 1."""
    try:
        code = program(sys.argv[1:])
    except UserError as error:
        for fault in error.faults:
            print(f"error: {fault}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    sys.stdout.flush()
    sys.exit(code)
