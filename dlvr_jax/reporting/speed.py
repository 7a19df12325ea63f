"""The rows of a benchmark (see `benchmarks/row.py`) as a line, tables and a chart."""

from collections.abc import Mapping, Sequence
from typing import Any

from dlvr_jax.reporting.drawing import LINES, MUTED, TEXT, Drawing, as_file
from dlvr_jax.reporting.readable import duration, number

Row = Mapping[str, Any]


def line(row: Row) -> str:
    """One config in a line, for who waits."""
    beside = f", {row['ratio']:.2f} of {row['peer']['name']}" if "ratio" in row else ""
    return f"{row['config']}: {1000 * row['seconds_per_step']:.2f} ms a step{beside}"


def training_table(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and cells of the training step; with the peer's columns where a row has one."""
    compared = any("ratio" in row for row in rows)
    header = ("config", "ms a step", "p10 to p90", "examples/s", "tokens/s", "GFLOP/s", "of peak")
    return (*header, *(("PyTorch, ms", "ratio") if compared else ())), [_training(row, compared) for row in rows]


def _training(row: Row, compared: bool) -> list[str]:
    step, low, high = (row[f"seconds_per_step{end}"] for end in ("", "_p10", "_p90"))
    cells = [
        short(row),
        f"{1000 * step:.2f}",
        f"{1000 * low:.2f} to {1000 * high:.2f}",
        number(round(row["examples_per_second"])),
        "-" if row["tokens_per_second"] is None else number(round(row["tokens_per_second"])),
        number(row["flops_per_step"] / step / 1e9),
        f"{row['utilisation']:.0%}",
    ]
    if not compared:
        return cells
    if "ratio" not in row:
        return [*cells, "-", "-"]
    mode = row["peer"]["name"].rpartition(", ")[2]
    return [*cells, f"{1000 * row['peer']['seconds_per_step']:.2f} {mode}", f"{row['ratio']:.2f}"]


def other_table(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and cells of what else was measured."""
    inference, times = ("inference, ms", "inference ratio"), ("compiling", "to first step")
    header = ("config", *inference, "memory", *times, "loop", "input, ms", "checkpoint, ms")
    return header, [_other(row) for row in rows]


def _other(row: Row) -> list[str]:
    return [
        short(row),
        _milliseconds(row["inference_seconds"]),
        f"{row['inference_ratio']:.2f}" if "inference_ratio" in row else "-",
        "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f} MiB",
        *("-" if row[key] is None else duration(row[key]) for key in ("compile_seconds", "seconds_to_first_step")),
        "-" if row["loop_overhead"] is None else f"{row['loop_overhead']:.2f}",
        _milliseconds(row["input_seconds"]),
        _milliseconds(row["checkpoint_stall_seconds"]),
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.2f}"


def chart(rows: Sequence[Row]) -> str:
    """An SVG file: ours over the peer's time where there is one, else the share of the device's peak."""
    compared = [row for row in rows if "ratio" in row]
    shown = compared or rows
    values = [row["ratio"] if compared else row["utilisation"] for row in shown]
    label = "training step over PyTorch's: under 1 is faster" if compared else "share of the device's measured peak"
    with Drawing(label, 32.0 * len(shown) + 50) as drawing:
        axes = drawing.axes
        for place, (row, value) in enumerate(zip(shown, values, strict=True)):
            axes.barh(-place, value, height=0.36, color=LINES[0])
            axes.text(0, 0.4 - place, short(row), fontsize=9.5, va="center")
            axes.text(value, -place, f" {value:.2f}", fontsize=9.5, va="center", color=TEXT)
        if compared:
            axes.axvline(1, color=MUTED, linewidth=1)
        axes.set_yticks([])
        axes.set_ylim(0.4 - len(shown), 0.75)
        axes.set_xlim(0, 1.15 * max(values))
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.set_xlabel(label)
    return as_file(drawing.svg)


def operations(found: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and cells of the most expensive operations of a profile."""
    rows = [[one["what"], one["name"], f"{1000 * one['seconds']:.2f}", f"{one['share']:.0%}"] for one in found]
    return ("operation", "in the program", "ms a step", "share"), rows


def short(row: Row) -> str:
    """Its config, without what all names share."""
    return str(row["config"]).removeprefix("configs/").replace(".py", "")
