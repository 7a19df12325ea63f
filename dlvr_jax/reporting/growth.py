"""How time grows, as a table and as lines over logarithmic axes."""

from collections.abc import Mapping, Sequence
from typing import Any

from dlvr_jax.reporting.drawing import LINES, TEXT, Drawing, as_file, logarithmic
from dlvr_jax.reporting.speed import short

Row = Mapping[str, Any]


def table(row: Row) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and cells: each value, its form and step, and the power by which the step grew since the value before."""
    powers = ["", *(f"{power:.2f}" for power in row["powers"])]
    cells = [
        (f"{value:g}", form, f"{1000 * taken:.2f}", power)
        for value, form, taken, power in zip(row["values"], row["forms"], row["seconds"], powers, strict=True)
    ]
    slope = ("slope", "", "", f"{row['slope']:.2f}")
    return (f"{short(row)}: {row['key']}", "form", "ms a step", "power"), [*cells, slope]


def chart(rows: Sequence[Row]) -> str:
    """An SVG file: time over the time at the first value, over the value over the first."""
    with Drawing("time of a step over its first, by how many times larger the number is", 480) as drawing:
        axes = drawing.axes
        for place, row in enumerate(rows):
            x, y = ([one / some[0] for one in some] for some in (row["values"], row["seconds"]))
            name, color = short(row).rpartition("/")[2], LINES[place % len(LINES)]
            marker = "os^D"[place // len(LINES) % 4]
            axes.plot(x, y, marker=marker, markersize=3.5, color=color, label=f"{name}: {row['key']}")
        logarithmic(axes, "x")
        logarithmic(axes, "y")
        axes.grid()
        axes.set_xlabel("times the first value")
        axes.set_ylabel("times the first step")
        axes.figure.legend(fontsize=8, labelcolor=TEXT, loc="outside upper center", ncols=2)
    return as_file(drawing.svg)
