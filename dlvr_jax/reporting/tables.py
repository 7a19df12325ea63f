"""Tables on the terminal: fitted to its width there, and one line a row where nobody looks."""

import os
import sys
from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED = 1000  # columns: a row stays on its line, for grep
_UNFOLDED = 32  # columns: cells no longer than this are folded last
_LAST = 16  # columns: the least that stays for the last column


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Prints to stdout, with an empty line after it; `right` names the columns of numbers.

    Where the rows do not fit, the last column is folded, then cells of more than 32 characters.
    """
    console = _console()
    widths = [min(_UNFOLDED, max(len(row[place]) for row in [header, *rows])) for place in range(len(header) - 1)]
    whole = sum(widths) + 2 * len(header) + _LAST <= console.width
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, width in zip(header, [*widths, None], strict=True):
        side: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(name), justify=side, width=width if whole else None, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), end="\n\n", flush=True)


def _console() -> Console:
    """As wide as the terminal, or as `COLUMNS` says."""
    fits = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return Console(width=None if fits else _PIPED, highlight=False, markup=False, emoji=False)
