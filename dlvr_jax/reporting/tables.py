"""Tables on the terminal: fitted to its width there, and one line a row where nobody looks."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlvr_jax import displays
from dlvr_jax.displays import Display

_PIPED = 1000  # columns: a row stays on its line, for grep
_UNFOLDED = 40  # columns: cells no longer than this are folded last
_LAST = 10  # columns: the least that stays for the last column


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Prints to stdout, with an empty line after it; `right` names the columns of numbers.

    Where the rows do not fit, cells are broken between words and the last column is folded; where that is not enough,
    each row is a table of its own, a line for each column.
    """
    console = _console()
    widths = _widths(header, rows, console.width)
    if widths is None:
        for row in rows:
            print_table(("", ""), tuple(zip(header, row, strict=True)))  # without a heading
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=any(header))
    for name, width in zip(header, widths, strict=True):
        side: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(name), justify=side, width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), end="\n\n", flush=True)


def print_displays(shown: Mapping[str, Display]) -> None:
    """Prints what of displays can be read in a terminal: texts and tables."""
    for display in shown.values():
        if isinstance(display, displays.Text):
            for passage in display.passages:
                print(passage, end="\n\n")
        elif isinstance(display, displays.Table):
            print_table(display.columns, [tuple(map(_cell, row)) for row in display.rows])


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> Sequence[int | None] | None:
    """Of every column; the last one's is for rich to say. Cells are whole if they fit, else broken between words.

    None where that does not fit either. Two columns always do.
    """
    columns = [[row[place] for row in [header, *rows]] for place in range(len(header) - 1)]
    whole = [min(_UNFOLDED, max(map(len, cells))) for cells in columns]
    words = [min(_UNFOLDED, max(len(word) for cell in cells for word in cell.split() or [""])) for cells in columns]
    slack = room - _LAST - 2 * len(header) - sum(words)
    if slack < 0:
        return None if len(header) > 2 else [None, None]
    widths = []
    for least, most in zip(words, whole, strict=True):
        widths.append(min(most, least + slack))
        slack -= widths[-1] - least
    return [*widths, None]


def _console() -> Console:
    """As wide as the terminal, or as `COLUMNS` says."""
    fits = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return Console(width=None if fits else _PIPED, highlight=False, markup=False, emoji=False)
