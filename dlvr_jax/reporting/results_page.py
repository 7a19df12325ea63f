"""The page of measured results, `docs/results.md`: the same text for the same results."""

from collections.abc import Sequence
from pathlib import Path

from dlvr_jax.reporting.readable import duration, number
from dlvr_jax.reporting.results import Result

_HEAD = """# Measured results

Made by `./launch.sh results` from `docs/results/*.json`; do not edit. Each row can be measured again by its command.
Values are means over the seeds ± the sample standard deviation; the time is that of one training.
"""
_COLUMNS = ("config", "result", "seeds", "parameters", "steps", "time", "device", "versions", "date", "command")


def page(results: Sequence[Result]) -> str:
    """Markdown with a table for each family."""
    parts = [_HEAD]
    for family in sorted({result.family for result in results}):
        own = [result for result in results if result.family == family]
        parts += [f"## {family}\n", _table(_COLUMNS, [_row(result) for result in own])]
    return "\n".join(parts if results else [_HEAD, "None yet.\n"])


def _row(result: Result) -> tuple[str, ...]:
    flags = "".join(f" {key}={value}" for key, value in sorted(result.flags.items()))
    return (
        Path(result.config).name.replace(".py", "") + flags,
        f"{result.metric} {result.value}",
        ", ".join(map(str, result.seeds)),
        number(result.parameters),
        number(result.steps),
        duration(result.seconds.mean),
        result.where,
        ", ".join(f"{name} {result.versions[name]}" for name in ("jax", "flax") if name in result.versions),
        result.date,
        f"`{result.command}`",
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in cells)
