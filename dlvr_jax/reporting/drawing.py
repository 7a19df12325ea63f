"""Drawings as SVG that take their colours from the page: light, dark or printed, the same file.

matplotlib knows no CSS. It draws in marker colours that nothing else uses; they are then exchanged for variables.
"""

import html
import io
import re
import warnings
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT, MUTED, GRID, ON_COLOUR, PAGE = "#010203", "#010204", "#010205", "#010206", "#010207"
# Okabe and Ito's palette, which colour-blind readers tell apart; the page may set a lighter shade for dark mode.
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LINES = tuple(f"#0102{index:02x}" for index in range(16, 16 + len(_PALETTE)))
_VARIABLES = {
    TEXT: "currentColor",
    MUTED: "var(--muted, #6b7280)",
    GRID: "var(--rule, #d4d4d8)",
    ON_COLOUR: "#ffffff",
    PAGE: "var(--page, #ffffff)",
    **{LINES[index]: f"var(--line{index}, {colour})" for index, colour in enumerate(_PALETTE)},
}
_WIDTH = 360  # of a drawing: a phone's, so that letters keep their size there
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "text.color": TEXT,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": False,
}


class Drawing:
    """One figure with one pair of axes; `svg` is there once the block is left."""

    svg: str
    axes: "Axes"

    def __init__(self, alt: str, height: float) -> None:
        self._alt, self._height = alt, height

    def __enter__(self) -> "Drawing":
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


def as_file(svg: str) -> str:
    """The drawing as a file of its own, which has no page to take its colours from: legible on light and on dark."""
    return re.sub(r"var\(--\w+, (#\w+)\)", r"\1", svg).replace("currentColor", "#6b7280") + "\n"


def logarithmic(axes: "Axes", which: Literal["x", "y"]) -> None:
    """Makes an axis logarithmic, its numbers written plainly: mathematical text is not drawn here."""
    from matplotlib.ticker import LogLocator

    def written(value: float, _: float) -> str:
        return f"{value:,.10g}"

    def between(value: float, place: float) -> str:
        low, high = axis.get_view_interval()
        return written(value, place) if high < 100 * low else ""

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_formatter(written)
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axis.set_minor_formatter(between)


def _saved(figure: "Figure") -> str:
    """The figure as matplotlib writes it, without date and version."""
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
