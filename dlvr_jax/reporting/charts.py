"""The lines of `metrics.jsonl` as charts: a metric each, train and validation together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dlvr_jax.reporting.plots import Series, line_chart
from dlvr_jax.reporting.readable import BOOKKEEPING, label, number

_POINTS = 300  # of a line; more are averaged in groups
_MOST = 24  # charts
_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Chart:
    """A metric's name in words, and its drawing."""

    title: str
    svg: str


def learning_charts(lines: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """What is learned: every metric that the splits share or have, but details (`f1/7`) and bookkeeping."""
    names = [name for name in _names(lines) if name not in BOOKKEEPING and "/" not in name]
    return _charts(names, lines)


def bookkeeping_charts(lines: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """How it is learned: learning rate, norms, speed, as far as the lines of training have them."""
    training = [line for line in lines if line["split"] == "train"]
    present = set(_names(training))
    return _charts([name for name in BOOKKEEPING if name in present and name != "seconds"], training)


def overlaid_charts(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Chart]:
    """Several runs over each other: a chart for each metric that is learned, of each split; a line a run."""
    lines = [line for own in runs.values() for line in own]
    made = []
    for name in [name for name in _names(lines) if name not in BOOKKEEPING and "/" not in name][:_MOST]:
        for split in _SPLITS:
            series = [
                replace(one, name=run, style=style)
                for style, (run, own) in enumerate(runs.items())
                for one in _series(name, [line for line in own if line["split"] == split])
            ]
            if series:
                title = f"{label(name).capitalize()}, {split}"
                made.append(Chart(title, line_chart(series, "step", "", f"{title}, by step, a line each run")))
    return made


def _names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of numbers, in the order in which they turn up; a step's own and the member's are none."""
    names = (name for line in lines if line["split"] in _SPLITS for name in line if name not in ("step", "member"))
    return [name for name in dict.fromkeys(names) if name != "split"]


def _charts(names: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> list[Chart]:
    made = []
    for name in names[:_MOST]:
        series = _series(name, lines)
        if series:
            ends = ", ".join(f"{one.name} ends at {number(float(one.y[-1]))}" for one in series[:2])
            made.append(
                Chart(label(name).capitalize(), line_chart(series, "step", "", f"{label(name)} by step: {ends}"))
            )
    return made


def _series(name: str, lines: Sequence[Mapping[str, Any]]) -> list[Series]:
    """A metric's lines, one for each split and member."""
    points: dict[tuple[str, object], list[tuple[float, float]]] = {}
    for line in lines:
        value = line.get(name)
        if line["split"] in _SPLITS and isinstance(value, int | float):
            points.setdefault((line["split"], line.get("member")), []).append((line["step"], value))
    order = sorted(points, key=lambda key: _SPLITS.index(key[0]))
    made = []
    for split, member in order:
        pairs = _thinned(np.array(points[split, member], float))
        made.append(Series(split, pairs[:, 0], pairs[:, 1], _SPLITS.index(split)))
    return made


def _thinned(pairs: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "fewer 2"]:
    """Means of neighbours, so that a long run's line stays small; the last group may be shorter."""
    size = -(-len(pairs) // _POINTS)
    starts = range(0, len(pairs), size)
    return pairs if size == 1 else np.array([pairs[start : start + size].mean(0) for start in starts])
