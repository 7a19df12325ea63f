"""The points of a sweep as drawings: learning curves, settings beside values, importance, value against cost."""

from collections.abc import Callable, Sequence

import numpy as np

from dlvr_jax.reporting.blocks import Block
from dlvr_jax.reporting.plots import Series, line_chart
from dlvr_jax.reporting.point_plots import bars, brief, parallel_coordinates, scatter
from dlvr_jax.reporting.readable import label
from dlvr_jax.sweeps.collect import Point
from dlvr_jax.sweeps.comparison import Comparison, mean
from dlvr_jax.sweeps.importance import METHOD, importances

_CURVES = 12  # points whose curves are drawn: as many as there are kinds of line
_AXES = 5  # settings that parallel coordinates show
_NAMED = 14  # letters up to which a point is named by its settings


def curves(comparison: Comparison) -> list[Block]:
    """The mean over the seeds at each step that all of them have, in a band of their standard deviation."""
    shown = comparison.ranked[:_CURVES]
    names = _names(comparison, shown)
    series = []
    for style, point in enumerate(sorted(shown, key=lambda point: point.number)):
        histories = [row.history for row in point.sound]
        steps = sorted(set.intersection(*(set(history) for history in histories)))
        values = np.array([[history[step] for step in steps] for history in histories], float)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is not drawn
            middle, band = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else None
        series.append(Series(names[point.number], np.array(steps, float), middle, style, band))
    if not series:
        return []
    metric = label(comparison.judge.metric)
    count = len(comparison.ranked)
    left_out = f" The best {_CURVES} of {count} points." if count > _CURVES else ""
    note = "Mean over the seeds; the band is one standard deviation wide to each side." + left_out
    title = f"Validation {metric}"
    return [Block(title, svg=line_chart(series, "step", "", f"{title} by step, a line each point"), note=note)]


def coordinates(comparison: Comparison) -> list[Block]:
    """Settings and value of each point."""
    varied, valued = _varied(comparison), comparison.valued
    if len(valued) < 2 or not varied:
        return []
    keys = list(varied)[:_AXES]
    names = [*short(keys), label(comparison.judge.metric)]
    columns: list[Sequence[str | float]] = [*(varied[key] for key in keys), [mean(point) for point in valued]]
    order = [valued.index(point) for point in comparison.ranked]
    alt = f"{', '.join(keys)} and validation {names[-1]}, a line each point"
    left_out = f" The first {_AXES} of {len(varied)} settings." if len(varied) > _AXES else ""
    note = f"A line each point, the best in a colour of its own, the others paler the worse they are.{left_out}"
    return [Block("Settings and value", svg=parallel_coordinates(names, columns, order, alt), note=note)]


def importance(comparison: Comparison) -> list[Block]:
    """Of each setting, where there are points enough to say."""
    varied, values = _varied(comparison), [mean(point) for point in comparison.valued]
    found = importances(list(varied), list(varied.values()), values, comparison.sweep.seed)
    if found is None:
        return []
    drawn = bars(short(list(found)), list(found.values()), "importance of each setting")
    note = f"How much of the variance of the value is due to each: {METHOD} of {len(values)} points. A rough estimate."
    return [Block("Importance", svg=drawn, note=note)]


def cost(comparison: Comparison, name: str, paid: Callable[[Point], float | None]) -> list[Block]:
    """Value against what it costs."""
    valued, front = comparison.valued, comparison.front(paid)
    if not valued:
        return []
    names = _names(comparison, front)
    title = f"Validation {label(comparison.judge.metric)} by {name}"
    drawn = scatter(
        [paid(point) or 0.0 for point in valued],
        [mean(point) for point in valued],
        [names.get(point.number, "") for point in valued],
        [place for place, point in enumerate(valued) if point in front],
        "seconds of a training" if name == "seconds" else name,
        f"{title}, a dot each point",
    )
    return [Block(title, svg=drawn, note="Joined: the front, where no other point is better at no higher cost.")]


def short(keys: Sequence[str]) -> list[str]:
    """Keys without their sections, where that leaves no two the same."""
    names = [key.rpartition(".")[2] for key in keys]
    return [name if names.count(name) == 1 else key for name, key in zip(names, keys, strict=True)]


def _varied(comparison: Comparison) -> dict[str, list[str]]:
    """Of each key that has several values, those of the points with a value."""
    columns = {key: [point.settings.get(key, "-") for point in comparison.valued] for key in comparison.sweep.keys}
    return {key: column for key, column in columns.items() if len(set(column)) > 1}


def _names(comparison: Comparison, few: Sequence[Point]) -> dict[int, str]:
    """Of points by their numbers: what they vary, where that is short, else the number."""
    keys = list(_varied(comparison))
    texts = {point.number: ", ".join(brief(point.settings.get(key, "-")) for key in keys) for point in few}
    if all(text and len(text) <= _NAMED for text in texts.values()):
        return texts
    return {point.number: f"point {point.number}" for point in few}
