"""Curves and heat maps, as SVG elements for a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dlvr_jax.reporting.drawing import LINES, MUTED, ON_COLOUR, TEXT, Drawing, logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_POSITIVE, _NEGATIVE = (0, 114, 178), (213, 94, 0)  # heat maps: opacity over the page tells the size
_LARGEST = 160  # rows or columns of a heat map; larger ones are averaged down
_ANNOTATED, _ANNOTATED_FRACTIONS = 16, 8  # rows and columns up to which each cell shows its value


@dataclass(frozen=True)
class Series:
    """One line. Those of one style share colour, dashes and legend entry (the members of a population).

    `band` is how far a pale band about the line reaches up and down.
    """

    name: str
    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    style: int = 0
    band: Float[np.ndarray, " points"] | None = None


def line_chart(series: Sequence[Series], x_label: str, y_label: str, alt: str) -> str:
    """Lines over one axis as an SVG element; y is logarithmic where the lines span orders of magnitude."""
    with Drawing(alt, 230.0) as drawing:
        axes = drawing.axes
        named: set[int] = set()
        for one in series:
            colour = LINES[one.style % len(LINES)]
            if one.band is not None:
                axes.fill_between(one.x, one.y - one.band, one.y + one.band, color=colour, alpha=0.14, linewidth=0)
            axes.plot(
                one.x,
                one.y,
                color=colour,
                linestyle=_DASHES[one.style % len(_DASHES)],
                linewidth=1.7 if len(series) == len({one.style for one in series}) else 0.8,
                marker="o" if np.isfinite(one.y).sum() <= 12 else "",
                markersize=3.5,
                clip_on=False,
                label="" if one.style in named else one.name,
            )
            named.add(one.style)
        if _spans_magnitudes(series):
            logarithmic(axes, "y")
        else:
            _from_zero_if_flat(axes, series)
            axes.ticklabel_format(axis="both", style="plain", useOffset=False)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.10g}")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if named - {0}:
            columns = min(len(named), 3)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, handlelength=2.2)
    return drawing.svg


def heat_map(
    values: Float[np.ndarray, "rows columns"],
    row_names: Sequence[str],
    column_names: Sequence[str],
    x_label: str,
    y_label: str,
    alt: str,
) -> str:
    """A matrix as an SVG element, row 0 on top: blue above 0, orange below; small matrices show their numbers."""
    rows, columns = values.shape
    whole = np.array_equal(values, np.round(values))
    annotated = max(rows, columns) <= (_ANNOTATED if whole else _ANNOTATED_FRACTIONS)
    height = 330 * min(max(rows / max(columns, 1), 0.5), 1.4) + 40
    with Drawing(alt, height) as drawing:
        axes = drawing.axes
        shown, block = _averaged(values)
        strength = _strength(shown)
        colours = np.zeros((*shown.shape, 4), np.uint8)
        colours[..., :3] = np.where(np.signbit(shown)[..., None], _NEGATIVE, _POSITIVE)
        colours[..., 3] = np.round(strength * 235)
        axes.imshow(colours, interpolation="none", aspect="auto", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
        _name_ticks(axes, "x", column_names, columns)
        _name_ticks(axes, "y", row_names, rows)
        axes.tick_params(length=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if annotated:
            _write_cells(axes, values, strength)
        elif np.isfinite(values).any():
            low, high = np.ma.masked_invalid(values).min(), np.ma.masked_invalid(values).max()
            note = f"from {low:.3g} to {high:.3g}" + (f"; a pixel is a mean of {block} x {block}" if block > 1 else "")
            axes.set_title(note, fontsize=9.5, color=MUTED, loc="left")
    return drawing.svg


def _spans_magnitudes(series: Sequence[Series]) -> bool:
    """Whether the middle four fifths of the values differ by more than a hundredfold, all above 0."""
    values = np.concatenate([one.y for one in series]) if series else np.zeros(0)
    values = values[np.isfinite(values)]
    if not values.size or np.min(values) <= 0:
        return False
    low, high = np.quantile(values, [0.1, 0.9])
    return bool(high > 100 * low)


def _from_zero_if_flat(axes: "Axes", series: Sequence[Series]) -> None:
    """For values that are all one: matplotlib would show a range about it that they may not be able to have."""
    values = np.unique(np.concatenate([one.y for one in series])) if series else np.zeros(0)
    if len(values) == 1 and np.isfinite(values[0]):
        low, high = sorted((0.0, float(values[0]) or 1.0))
        axes.set_ylim(low, high)


def _averaged(values: Float[np.ndarray, "rows columns"]) -> tuple[Float[np.ndarray, "fewer_rows fewer_columns"], int]:
    """Means over square blocks so that no side exceeds `_LARGEST`, and the side of a block; a rest at the edge goes."""
    block = max(-(-max(values.shape) // _LARGEST), 1)
    rows, columns = (max(size // block, 1) for size in values.shape)
    if block == 1:
        return values, 1
    cut = values[: rows * block, : columns * block]
    return cut.reshape(rows, cut.shape[0] // rows, columns, cut.shape[1] // columns).mean((1, 3)), block


def _strength(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Sizes in [0, 1]; the root, so that few beside many are seen. What is not finite counts as 0."""
    sizes = np.abs(np.where(np.isfinite(values), values, 0.0))
    return np.sqrt(sizes / max(sizes.max(initial=0.0), 1e-30))


def _name_ticks(axes: "Axes", axis: str, names: Sequence[str], count: int) -> None:
    """Names along an axis: all, or every n-th where they would run into each other."""
    if not names:
        return
    every = max(-(-count // 24), 1)
    places = range(0, count, every)
    text = [name if len(name) <= 16 else name[:15] + "…" for name in (names[place] for place in places)]
    if axis == "x":
        lies = max(map(len, text), default=0) <= 2 and len(text) <= 16
        axes.set_xticks(list(places), text, rotation=0 if lies else 90)
    else:
        axes.set_yticks(list(places), text)


def _write_cells(
    axes: "Axes", values: Float[np.ndarray, "rows columns"], strength: Float[np.ndarray, "rows columns"]
) -> None:
    """The value of each cell that shows (over a hundredth of the largest), in a colour that reads on it."""
    for (row, column), value in np.ndenumerate(values):
        if strength[row, column] > 0.1:
            text = f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e5 else f"{value:.2g}"
            colour = ON_COLOUR if strength[row, column] > 0.6 else TEXT
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
