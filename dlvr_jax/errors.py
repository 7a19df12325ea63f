"""What a user can mend: shown as plain lines, never as a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One or more faults, each a line that says what is wrong, where, and what to do.

    Raised anywhere below `experiments/`, caught once there: each fault is printed as `error: ...`, exit code `code`.
    """

    code = 1

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class OutOfMemory(UserError):
    """The device or the machine has too little memory: what a program of fewer members might not need."""

    code = 12  # as the system numbers this error


class InUse(UserError):
    """Another process works in the folder: what ends by itself."""

    code = 16  # as the system numbers this error


def said(error: BaseException) -> str:
    """The line of its message that tells most: the first, or the last of one with a traceback in it."""
    lines = str(error).strip().splitlines() or [""]
    return lines[-1] if any("Traceback (most recent call last)" in line for line in lines) else lines[0]


def lacks_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, of the device or of the machine."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Turns any failure inside, where a model of the user's own runs, into a UserError that begins with `what`.

    But not a lack of memory.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if lacks_memory(error):
            raise
        hint = "" if isinstance(error, ValueError) else "; DLVR_TRACEBACK=1 shows where"  # which says what to do itself
        raise UserError(f"{what}: {type(error).__name__}: {said(error)}{hint}") from error
