"""Points of a sweep as drawings: settings beside values, value against cost, importance; SVG elements for a page."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from dlvr_jax.reporting.drawing import GRID, LINES, MUTED, PAGE, Drawing, logarithmic
from dlvr_jax.reporting.readable import number

_SPAN = 10  # from this ratio of the largest to the smallest on, values are drawn by their logarithms
_TICKS = 6  # values of an axis that are all written
_LETTERS = 8  # of a number that is written in full
_APART = 0.08  # of an axis's length, between two texts on it
_BEHIND = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}  # texts, so that they read on lines


@dataclass(frozen=True)
class Scale:
    """An axis from 0 to 1: where each value is on it, and what is written where."""

    places: list[float]
    ticks: list[tuple[float, str]]


def scale_of(values: Sequence[str | float]) -> Scale:
    """Numbers by their size, or by their logarithms; texts that are not all numbers as places, as they turn up."""
    sizes = as_numbers(values)
    if sizes is None:
        names = list(dict.fromkeys(map(str, values)))
        places = {name: k / max(len(names) - 1, 1) for k, name in enumerate(names)}
        return Scale([places[str(value)] for value in values], _apart([(places[name], name) for name in names]))
    measure = math.log if spans_magnitudes(sizes) else float
    low, high = measure(min(sizes)), measure(max(sizes))

    def place(size: float) -> float:
        return (measure(size) - low) / (high - low) if high > low else 0.5

    texts = {place(size): brief(value) for size, value in zip(sizes, values, strict=True)}
    return Scale([place(size) for size in sizes], _apart(sorted(texts.items())))


def brief(value: str | float) -> str:
    """A value as it is, but a long number rounded."""
    sizes = as_numbers([value])
    return number(sizes[0]) if sizes and len(str(value)) > _LETTERS else str(value)


def as_numbers(values: Sequence[str | float]) -> list[float] | None:
    """The values as finite numbers; None unless all are."""
    try:
        sizes = [float(value) for value in values]
    except ValueError:
        return None
    return sizes if all(map(math.isfinite, sizes)) else None


def spans_magnitudes(sizes: Sequence[float]) -> bool:
    """Whether numbers above 0 differ so much that their logarithms show more."""
    return min(sizes) > 0 and max(sizes) >= _SPAN * min(sizes)


def parallel_coordinates(
    names: Sequence[str], columns: Sequence[Sequence[str | float]], order: Sequence[int], alt: str
) -> str:
    """A line for each point over one upright axis for each column; `order`: the points from best to worst.

    The best is drawn in a colour of its own, the others the paler the worse they are.
    """
    scales = [scale_of(column) for column in columns]
    with Drawing(alt, 250.0) as drawing:
        axes = drawing.axes
        for rank, point in reversed(list(enumerate(order))):
            best, pale = rank == 0, 1 - rank / max(len(order) - 1, 1)
            axes.plot(
                [scale.places[point] for scale in scales],
                color=LINES[1] if best else LINES[0],
                linewidth=2.2 if best else 1.1,
                alpha=1.0 if best else 0.15 + 0.6 * pale,
                clip_on=False,
            )
        for place, (name, scale) in enumerate(zip(names, scales, strict=True)):
            axes.axvline(place, color=GRID, linewidth=0.8, zorder=0)
            axes.text(place, 1.05 + 0.08 * (place % 2), name, ha=_side(place, len(names)), fontsize=9)
            for height, text in scale.ticks:
                axes.text(place + 0.04, height, text, fontsize=8.5, va="center", bbox=_BEHIND)
        axes.set_axis_off()
        axes.set_xlim(-0.05, len(names) - 0.65)
        axes.set_ylim(-0.03, 1.18)
    return drawing.svg


def scatter(
    x: Sequence[float], y: Sequence[float], names: Sequence[str], front: Collection[int], x_label: str, alt: str
) -> str:
    """Points, those of the front in a colour of their own, named and joined; x is logarithmic where it spans much."""
    with Drawing(alt, 230.0) as drawing:
        axes = drawing.axes
        others = [k for k in range(len(x)) if k not in front]
        ahead = sorted(front, key=lambda k: (x[k], y[k]))
        axes.plot([x[k] for k in others], [y[k] for k in others], "o", color=LINES[0], markersize=5, alpha=0.6)
        axes.plot([x[k] for k in ahead], [y[k] for k in ahead], "-o", color=LINES[1], markersize=6, linewidth=1)
        for k in ahead:
            axes.annotate(names[k], (x[k], y[k]), (4, 5), textcoords="offset points", fontsize=9, bbox=_BEHIND)
        if spans_magnitudes(x):
            logarithmic(axes, "x")
        axes.margins(0.12, 0.14)
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_xlabel(x_label)
    return drawing.svg


def bars(names: Sequence[str], values: Sequence[float], alt: str) -> str:
    """Shares of 1, one under the other, each with its name above it."""
    with Drawing(alt, 34.0 * len(names) + 10) as drawing:
        axes = drawing.axes
        for row, (name, value) in enumerate(zip(names, values, strict=True)):
            axes.barh(-row, value, height=0.36, color=LINES[0])
            axes.text(0, 0.42 - row, name, fontsize=9.5, va="center")
            axes.text(value + 0.01, -row, f"{value:.2f}", fontsize=9.5, va="center", color=MUTED)
        axes.set_axis_off()
        axes.set_xlim(0, 1.12)
        axes.set_ylim(0.3 - len(names), 0.65)
    return drawing.svg


def intervals(names: Sequence[str], values: Sequence[tuple[float, float]], x_label: str, alt: str) -> str:
    """Means with their deviations to both sides, one under the other, each with its name above it."""
    with Drawing(alt, 32.0 * len(names) + 50) as drawing:
        axes = drawing.axes
        for row, (name, (mean, deviation)) in enumerate(zip(names, values, strict=True)):
            axes.errorbar(mean, -row, xerr=deviation, fmt="o", color=LINES[0], markersize=5, capsize=3)
            axes.text(0.01, 0.34 - row, name, fontsize=9.5, va="center", transform=axes.get_yaxis_transform())
        axes.set_yticks([])
        axes.set_ylim(0.4 - len(names), 0.65)
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.set_xlabel(x_label)
    return drawing.svg


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """All where they are few, else the ends and the middle; without those that would run into the one before."""
    few = ticks if len(ticks) <= _TICKS else [ticks[0], ticks[len(ticks) // 2], ticks[-1]]
    kept = list(few[:1])
    for place, text in few[1:]:
        if place - kept[-1][0] >= _APART:
            kept.append((place, text))
    return kept


def _side(place: int, count: int) -> Literal["left", "center", "right"]:
    return "left" if place == 0 else "right" if place == count - 1 else "center"
