"""Displays as parts of the report: what the template needs to know of each, whatever task made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dlvr_jax.displays import Alignment, Curves, Display, HeatMap, Images, Table, Text
from dlvr_jax.reporting.pictures import Picture, pictures
from dlvr_jax.reporting.plots import Series, heat_map, line_chart
from dlvr_jax.reporting.readable import label, number

_ROWS = 200  # of a table
_PASSAGES = 40
_LETTERS = 4000  # of a passage
_LOW, _HIGH = 80, 320  # pixels that a picture is shown high, and wide at most
_LONG_CELL = 24  # letters of a cell; a table with longer ones takes a row of the page


@dataclass(frozen=True)
class Block:
    """A titled part of the report: one of the contents is filled. `note` says what was left out."""

    title: str
    svg: str = ""
    pictures: tuple[tuple[Picture, str], ...] = ()
    passages: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    numeric: frozenset[int] = field(default_factory=frozenset)

    @property
    def wide(self) -> bool:
        """Whether it takes a row of the page for itself."""
        long = any(len(cell) > _LONG_CELL for row in self.rows for cell in row)
        return bool(self.pictures or self.passages) or len(self.columns) > 4 or long

    @property
    def side(self) -> int:
        """How wide its pictures are shown, in pixels."""
        shapes = [(picture.width, picture.height) for picture, _ in self.pictures]
        return min(_HIGH, max(round(width * max(height, _LOW) / height) for width, height in shapes))

    @property
    def strips(self) -> bool:
        """Whether its pictures are long ones, one under the other."""
        return any(picture.width > 3 * picture.height for picture, _ in self.pictures)

    @property
    def size(self) -> int:
        """About how many bytes it adds to the page."""
        texts = [self.svg, *self.passages, *(cell for row in self.rows for cell in row)]
        return sum(map(len, texts)) + sum(len(picture.address) for picture, _ in self.pictures)


def blocks(shown: Mapping[str, Display], budget: int) -> list[Block]:
    """All displays, narrow ones first, each kind by name, within about `budget` bytes; what has no room is named."""
    made: list[Block] = []
    share = budget // max(sum(isinstance(display, Images) for display in shown.values()), 1) // 2
    for name, display in sorted(shown.items()):
        block = _block(name, display, share)
        if block.size > budget:
            block = Block(block.title, note=f"Left out to keep this page small; it is in samples/, as {name}.npz.")
        budget -= block.size
        made.append(block)
    return sorted(made, key=lambda block: (block.wide, not block.svg))


def _block(name: str, display: Display, share: int) -> Block:
    title = display.title or label(name).capitalize()
    match display:
        case Images():
            return _images(title, display, share)
        case Text():
            passages = tuple(text[:_LETTERS] for text in display.passages[:_PASSAGES])
            return Block(title, passages=passages, note=_left_out(len(display.passages), _PASSAGES, "passages"))
        case Curves():
            lines = [
                Series(display.names[index], np.asarray(display.x, float), np.asarray(y, float), index)
                for index, y in enumerate(display.y)
            ]
            return Block(title, svg=line_chart(lines, display.x_label, display.y_label, f"{title}: {display.y_label}"))
        case HeatMap():
            alt = f"{title}: {display.y_label} by {display.x_label}"
            names = (display.row_names, display.column_names, display.x_label, display.y_label)
            return Block(title, svg=heat_map(np.asarray(display.values, float), *names, alt))
        case Alignment():
            weights = np.asarray(display.weights, float)
            alt = f"{title}: attention of each target token over the source"
            drawn = heat_map(weights, display.target, display.source, "source", "target", alt)
            return Block(title, svg=drawn, note=" ".join([*display.source, "→", *display.target]))
        case Table():
            return _table(title, display)


def _images(title: str, display: Images, share: int) -> Block:
    made = pictures(display.images, share)
    captions = display.captions or ("",) * len(made)
    note = _left_out(len(display.images), len(made), "pictures") or ("" if made else "None.")
    return Block(title, pictures=tuple(zip(made, captions, strict=False)), note=note)


def _table(title: str, display: Table) -> Block:
    rows = display.rows[:_ROWS]
    numeric = frozenset(
        column
        for column in range(len(display.columns))
        if rows and all(not isinstance(row[column], str) for row in rows)
    )
    written = tuple(tuple(number(cell) for cell in row) for row in rows)
    note = _left_out(len(display.rows), _ROWS, "rows")
    return Block(title, columns=display.columns, rows=written, numeric=numeric, note=note)


def _left_out(count: int, shown: int, what: str) -> str:
    return f"The first {shown} of {count} {what}." if count > shown > 0 else ""
