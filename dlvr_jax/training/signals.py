"""SIGTERM and Ctrl-C become a request that the loop reads between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """The signal that asked the loop to stop; None so far."""

    signal: int | None = None


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Notes the first signal; a second one acts at once, as it would without this."""
    interrupt = Interrupt()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        interrupt.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
