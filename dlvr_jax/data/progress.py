"""One line on stderr that says how far something long has come."""

import sys
import time
from collections.abc import Iterator


def counted(label: str, total: int) -> Iterator[int]:
    """0 .. total - 1, on a terminal shown in place as "label: 3,000 of 60,000", elsewhere as one plain line."""
    in_place = sys.stderr.isatty()
    if not in_place:
        say(f"{label}: {total:,} examples")
    shown = 0.0
    for index in range(total):
        if in_place and time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            print(f"\r{label}: {index:,} of {total:,}\033[K", end="", file=sys.stderr, flush=True)
        yield index
    if in_place:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def say(line: str) -> None:
    """One plain line."""
    print(line, file=sys.stderr, flush=True)
