"""Numbers, durations and names as people read them: shared by the terminal and the report."""

import math
from collections.abc import Mapping
from numbers import Integral, Real

# What every run logs besides what it learns: charted apart, never a headline.
NOT_METRICS = ("step", "split", "member")  # of a line of metrics.jsonl: where it belongs
BOOKKEEPING = ("learning_rate", "gradient_norm", "update_norm", "parameter_norm", "seconds", "examples_per_second")


def number(value: object) -> str:
    """Four significant digits (`0.9600`, `12.35`, `1,235`, `1.5e-05`); whole numbers in full; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return "-" if value is None else str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    value = float(value)
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if size >= 1e9 or 0 < size < 1e-3:
        return f"{value:.4g}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:#.4g}" if size else "0.000"


def duration(seconds: float) -> str:
    """`0.42 s`, `8.3 s`, `42 s`, `1 min 05 s`, `2 h 03 min`."""
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `2:03:00`: of steady width, for a line that is redrawn."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def label(name: str) -> str:
    """A metric's or display's name in words: `gradient_norm` is `gradient norm`."""
    return name.replace("_", " ").replace("/", " ").strip()


def headline(metrics: Mapping[str, object]) -> dict[str, object]:
    """The metrics that sum a run up: those with the fewest `/` (`test/f1/7` is a detail of `test/f1`)."""
    named = {name: value for name, value in metrics.items() if name.rsplit("/", 1)[-1] not in BOOKKEEPING}
    depth = min((name.count("/") for name in named), default=0)
    return {name: value for name, value in named.items() if name.count("/") == depth}
