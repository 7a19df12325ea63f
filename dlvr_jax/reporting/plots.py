"""Charts and heat maps as SVG that takes its colours from the page: light, dark or printed, the same file.

matplotlib knows no CSS. It draws in marker colours that nothing else uses; they are then exchanged for variables.
"""

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEXT, _MUTED, _GRID, _ON_COLOUR = "#010203", "#010204", "#010205", "#010206"
# Okabe and Ito's palette, which colour-blind readers tell apart; the page may set a lighter shade for dark mode.
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LINES = tuple(f"#0102{index:02x}" for index in range(16, 16 + len(_PALETTE)))
_VARIABLES = {
    _TEXT: "currentColor",
    _MUTED: "var(--muted, #6b7280)",
    _GRID: "var(--rule, #d4d4d8)",
    _ON_COLOUR: "#ffffff",
    **{_LINES[index]: f"var(--line{index}, {colour})" for index, colour in enumerate(_PALETTE)},
}
_WIDTH = 360  # of a drawing: a phone's, so that letters keep their size there
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_POSITIVE, _NEGATIVE = (0, 114, 178), (213, 94, 0)  # heat maps: opacity over the page tells the size
_LARGEST = 160  # rows or columns of a heat map; larger ones are averaged down
_ANNOTATED = 16  # rows and columns up to which each cell shows its value
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "text.color": _TEXT,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": False,
}


@dataclass(frozen=True)
class Series:
    """One line. Those of one style share colour, dashes and legend entry (the members of a population)."""

    name: str
    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    style: int = 0


def line_chart(series: Sequence[Series], x_label: str, y_label: str, alt: str) -> str:
    """Lines over one axis as an SVG element; y is logarithmic where the lines span orders of magnitude."""
    with _Drawing(alt, 230.0) as drawing:
        axes = drawing.axes
        named: set[int] = set()
        for one in series:
            axes.plot(
                one.x,
                one.y,
                color=_LINES[one.style % len(_LINES)],
                linestyle=_DASHES[one.style % len(_DASHES)],
                linewidth=1.7 if len(series) == len({one.style for one in series}) else 0.8,
                marker="o" if np.isfinite(one.y).sum() <= 12 else "",
                markersize=3.5,
                label="" if one.style in named else one.name,
            )
            named.add(one.style)
        if _spans_magnitudes(series):
            axes.set_yscale("log")
        else:
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
    annotated = max(rows, columns) <= _ANNOTATED
    height = 330 * min(max(rows / max(columns, 1), 0.5), 1.4) + 40
    with _Drawing(alt, height) as drawing:
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
        elif values.size:
            low, high = np.nanmin(values), np.nanmax(values)
            note = f"from {low:.3g} to {high:.3g}" + (f"; a pixel is a mean of {block} x {block}" if block > 1 else "")
            axes.set_title(note, fontsize=9.5, color=_MUTED, loc="left")
    return drawing.svg


class _Drawing:
    """One figure with one pair of axes; `svg` is there once the block is left."""

    svg: str
    axes: "Axes"

    def __init__(self, alt: str, height: float) -> None:
        self._alt, self._height = alt, height

    def __enter__(self) -> "_Drawing":
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self._style = matplotlib.rc_context(_RC | {"svg.hashsalt": self._alt})
        self._style.__enter__()
        self._figure: Figure = Figure(figsize=(_WIDTH / 72, self._height / 72), layout="constrained")
        FigureCanvasSVG(self._figure)
        self.axes = self._figure.add_subplot()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if error is None:
                self.svg = _for_page(_saved(self._figure), self._alt)
        finally:
            self._style.__exit__(kind, error, trace)


def _saved(figure: "Figure") -> str:
    """The figure as matplotlib writes it, without date and version."""
    import warnings

    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # the browser has the letters
        figure.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return file.getvalue()


def _for_page(svg: str, alt: str) -> str:
    """Only the element, of the width of its place, described for who cannot see it, in the page's colours and font."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    head = f'<svg role="img" aria-label="{html.escape(alt)}"'
    svg = re.sub(r'<svg\b(.*?) width="[^"]*"(.*?)>', lambda match: head + match[1] + match[2] + ">", svg, count=1)
    svg = re.sub(r'<svg\b(.*?) height="[^"]*"(.*?)>', r"<svg\1\2>", svg, count=1)
    svg = re.sub(r"(font: [^;\"]*?px)[^;\"]*", r"\1 system-ui, sans-serif", svg)
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)
    for marker, variable in _VARIABLES.items():
        svg = svg.replace(marker, variable)
    return re.sub(r"\n\s*", "\n", svg)


def _spans_magnitudes(series: Sequence[Series]) -> bool:
    """Whether the middle four fifths of the values differ by more than a hundredfold, all above 0."""
    values = np.concatenate([one.y for one in series]) if series else np.zeros(0)
    values = values[np.isfinite(values)]
    if not values.size or np.min(values) <= 0:
        return False
    low, high = np.quantile(values, [0.1, 0.9])
    return bool(high > 100 * low)


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
        axes.set_xticks(list(places), text, rotation=90 if max(map(len, text), default=0) > 2 else 0)
    else:
        axes.set_yticks(list(places), text)


def _write_cells(
    axes: "Axes", values: Float[np.ndarray, "rows columns"], strength: Float[np.ndarray, "rows columns"]
) -> None:
    """The value of each cell that shows (over a hundredth of the largest), in a colour that reads on it."""
    for (row, column), value in np.ndenumerate(values):
        if strength[row, column] > 0.1:
            text = f"{value:.0f}" if float(value).is_integer() else f"{value:.2g}"
            colour = _ON_COLOUR if strength[row, column] > 0.6 else _TEXT
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
