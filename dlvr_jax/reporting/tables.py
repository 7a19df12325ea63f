"""Tables on the terminal: fitted to its width there, and one line a row where nobody looks."""

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED = 1000  # columns: a row stays on its line, for grep


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Prints to stdout; `right` names the columns of numbers. Cells that do not fit are folded. An empty header is left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=any(header), pad_edge=False)
    for name in header:
        table.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = console_for_tables()
    console.print(Text(title, style="bold"), soft_wrap=True)
    if rows:
        console.print(table)
    console.print()


def print_line(text: str) -> None:
    """Prints a line to stdout, broken between words on a terminal."""
    console_for_tables().print(Text(text))


def console_for_tables() -> Console:
    """As wide as the terminal, or as `COLUMNS` says."""
    narrow = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return Console(width=None if narrow else _PIPED, highlight=False, markup=False, emoji=False)
