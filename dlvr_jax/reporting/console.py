"""What a terminal shows: progress and warnings on stderr, results on stdout."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlvr_jax.reporting.readable import BOOKKEEPING, clock, duration, headline, number

_TERMINAL_SECONDS = 0.1  # between two drawings of the progress line
_PLAIN_SECONDS = 10.0  # between two lines where there is no terminal
_SMALLEST_BAR = 5  # columns; below this the bar says less than the numbers that it displaces


class Progress:
    """A line that follows a training run: redrawn in place on a terminal, printed now and then anywhere else.

    No thread: it is drawn by whoever calls `update`, at most ten times a second, so that the steps keep both cores.
    """

    def __init__(self, total: int, first: int = 0) -> None:
        """`total`: the step at which the run ends; `first`: steps already done (a resumed run)."""
        self._total, self._step = total, first
        self._metrics: Mapping[str, float | int] = {}
        self._speed: float | None = None
        self._clock: tuple[int, float] | None = None
        self._due = 0.0
        self._console = _console(stderr=True)
        self._live = _live(self._console)
        self._interval = _TERMINAL_SECONDS if self._live else _PLAIN_SECONDS

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
            self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._draw()
            self._live.stop()

    def update(self, step: int, metrics: Mapping[str, float | int], examples_per_second: float | None) -> None:
        """`step` updates are done; the metrics are the latest known. Under a microsecond unless it is time to draw."""
        now = monotonic()
        is_known = not self._live and (step, metrics) == (self._step, self._metrics)
        if is_known or (now < self._due and step < self._total):
            return
        self._step, self._metrics, self._speed = step, metrics, examples_per_second
        self._clock = self._clock or (step, now)  # from the first step on: compiling is no measure of what is left
        if self._live is None and not metrics:
            return
        self._due = now + self._interval
        self._draw()

    def note(self, line: str) -> None:
        """Prints a line that stays, above the progress line."""
        self._console.print(Text(line), soft_wrap=True)

    def _draw(self) -> None:
        if self._live:
            self._live.update(self._line(self._console.width - 1), refresh=True)
        elif self._metrics:
            self._console.print(Text("  ".join(["step " + self._position(), *self._facts()])), soft_wrap=True)

    def _line(self, width: int) -> Text:
        """The line as it fits into `width` columns: facts drop off from the least important, the bar takes the rest."""
        facts = self._facts()
        used = len(self._position()) + 2
        kept = []
        for fact in facts:
            if used + len(fact) + 2 <= width:
                kept.append(fact)
                used += len(fact) + 2
        room = min(width - used - 2, 40)
        line = Text(self._position(), style="bold", no_wrap=True, overflow="crop")
        if room >= _SMALLEST_BAR:
            done = round(room * min(self._step / self._total, 1.0)) if self._total else room
            line.append("  ").append("━" * done, style="cyan").append("━" * (room - done), style="bright_black")
        for fact in kept:
            line.append("  " + fact, style="not bold")
        return line

    def _position(self) -> str:
        return f"{self._step:>{len(str(self._total))}}/{self._total}"

    def _facts(self) -> list[str]:
        """What to say beside the position, most important first: metrics (losses before others), time left, speed."""
        names = [name for name in self._metrics if name not in BOOKKEEPING]
        names = sorted(names, key=lambda name: "loss" not in name)[:3]
        facts = [f"{name} {number(self._metrics[name])}" for name in names]
        left = self._seconds_left()
        if left is not None:
            facts.append(f"{clock(left)} left")
        if self._speed is not None:
            facts.append(f"{self._speed:,.0f} ex/s")
        return facts or ["starting"]

    def _seconds_left(self) -> float | None:
        if self._clock is None or self._step <= self._clock[0] or self._step >= self._total:
            return None
        return (monotonic() - self._clock[1]) / (self._step - self._clock[0]) * (self._total - self._step)


@contextmanager
def activity() -> Iterator[Callable[[str], None]]:
    """Gives what shows a line of what is being done now, in the place of the line before, and gone at the end.

    Where stderr is no terminal, each stays as a line of its own.
    """
    console = _console(stderr=True)
    live = _live(console, transient=True)
    if live is None:
        yield lambda line: console.print(Text(line), soft_wrap=True)
        return
    with live:
        yield lambda line: live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)


def warn(line: str) -> None:
    """Prints `warning: ...` on stderr."""
    _console(stderr=True).print(Text.assemble(("warning: ", "bold yellow"), line), soft_wrap=True)


def print_differences(record: Mapping[str, Any]) -> None:
    """What sets this run's config apart from the defaults, and who set it. `record`: a run's `config.json`."""
    origins = {key: origin for key, origin in record["origin"].items() if origin != "default"}
    table = Table.grid(padding=(0, 2))
    for key, origin in origins.items():
        table.add_row(Text("  " + key), Text(_written(_value(record["config"], key))), Text(origin, style="dim"))
    console = _console()
    name = record["config_file"] + (f":{record['argument']}" if record.get("argument") else "")
    keys = "1 key" if len(origins) == 1 else f"{len(origins) or 'no'} keys"
    console.print(Text(f"{name}: {keys} other than the defaults", style="bold"), soft_wrap=True)
    if origins:
        console.print(table)


def print_parameters(rows: Sequence[tuple[str, Sequence[int], object, int]]) -> None:
    """The table of parameters and their total. A row: path, shape, dtype, count."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("parameters", overflow="fold")
    table.add_column("shape")
    table.add_column("type", style="dim")
    table.add_column("count", justify="right")
    for path, shape, dtype, count in rows:
        table.add_row(Text(path), " x ".join(map(str, shape)) or "scalar", str(dtype), number(count))
    table.add_row("total", "", "", number(sum(row[-1] for row in rows)), style="bold")
    _console().print(table)


def print_result(metrics: Mapping[str, float | int], tested: str, report: Path, seconds: float) -> None:
    """How the run ended: its main metrics, of which state, the time it took, where the report is."""
    rows = [(name, number(value)) for name, value in headline(metrics).items()]
    width = max(len(name) for name, _ in [*rows, ("report", "")])
    console = _console()
    for name, value in rows:
        console.print(Text.assemble(f"{name:<{width}}  ", (value, "bold")), soft_wrap=True)
    console.print(Text(f"{'tested':<{width}}  {tested}"), soft_wrap=True)
    console.print(Text(f"{'time':<{width}}  {duration(seconds)}"), soft_wrap=True)
    console.print(Text(f"{'report':<{width}}  {report}"), soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """As `print` does; rich itself would end the program with another exit code."""
        raise BrokenPipeError


def _console(stderr: bool = False) -> Console:
    """Made anew each time: pipes, `NO_COLOR` and the width are as they are now."""
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _live(console: Console, transient: bool = False) -> Live | None:
    """What is redrawn in place; None where stderr is no terminal that can."""
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        return None
    return Live(console=console, auto_refresh=False, redirect_stdout=False, transient=transient)


def _value(config: Mapping[str, Any], key: str) -> object:
    """The value under a dotted key."""
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else None
    return value


def _written(value: object) -> str:
    """A value of a config as Python writes it, without quotes around plain words."""
    return value if isinstance(value, str) else repr(value)
