"""`./launch.sh compare RUN [RUN ...] [--out FILE]`: runs side by side, and whether those of one config are equal.

A sweep's folder stands for all of its runs that have finished. FID and its like are left out where they rest on unlike
set-ups. The exit code is 1 where runs of the same config differ.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dlvr_jax.compare import NOTHING, Difference, differences, verdict
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.blocks import Block
from dlvr_jax.reporting.charts import overlaid_charts
from dlvr_jax.reporting.console import warn
from dlvr_jax.reporting.page import write_page
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.run import Run
from dlvr_jax.side_by_side import Training, comparable, table, trainings
from experiments.command import arguments, main

LINES = 12  # trainings whose curves are drawn: as many as there are kinds of line


def compare(argv: Sequence[str]) -> int:
    """A table, a line or more for each pair that should be equal, and a page with both and with curves."""
    parser = arguments("compare", "Put runs side by side, and say whether those of one config are equal.")
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folders of runs, finished or not, or sweeps")
    parser.add_argument("--out", type=Path, default=Path("runs/compare.html"), help="the page (default: %(default)s)")
    known = parser.parse_args(argv)
    runs = _runs(known.runs)
    found, left_out = comparable([training for name, run in runs.items() for training in trainings(name, run)])
    header, rows = table(found)
    print_table(header, rows, right=("parameters",))
    if left_out:
        warn(left_out)
    pairs = [(first, second, _unequal(first, second)) for first, second in _alike(list(runs.values()))]
    verdicts = ["\n".join(verdict(*pair)) for pair in pairs]
    print("".join(f"{each}\n" for each in verdicts), end="")
    sections = {
        "Runs": [Block("What differs, and what came out", columns=header, rows=tuple(rows), note=left_out or "")],
        "Runs of one config": [Block("Should be equal", passages=tuple(verdicts))] if verdicts else [],
        "Learning": _curves(found),
    }
    shown = {heading: blocks for heading, blocks in sections.items() if blocks}
    print(f"page  {write_page(known.out, 'Runs side by side', [f'{len(found)} trainings'], shown)}")
    return 1 if any(unequal for *_, unequal in pairs) else 0


def _runs(paths: Sequence[Path]) -> dict[str, Run]:
    """Each once, by a name of its own: that of its folder, or the whole path where several are called so."""
    folders = list(dict.fromkeys(folder.resolve() for path in paths for folder in _folders(path)))
    count = Counter(folder.name for folder in folders)
    return {folder.name if count[folder.name] == 1 else str(folder): Run(folder) for folder in folders}


def _folders(path: Path) -> list[Path]:
    """Of a run itself, of a sweep all that has finished, or if nothing has all that it has begun."""
    if not (path / "sweep.json").exists():
        return [path]
    begun = sorted(folder for folder in (path / "runs").glob("*") if Run(folder).exists())
    found = [folder for folder in begun if Run(folder).summary() is not None] or begun
    if not found:
        raise UserError(f"{path} is a sweep that has no run yet")
    return found


def _alike(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Each run with the first one of its config."""
    first: dict[str, Run] = {}
    for run in runs:
        known = first.setdefault(run.record["fingerprint"], run)
        if known is not run:
            yield known, run


def _unequal(first: Run, second: Run) -> list[Difference]:
    """What differs but how they ran; where one has not finished, as far as both have got."""
    found = [each for each in differences(first, second) if not each.place.startswith("config.json, ")]
    if first.summary() is None or second.summary() is None:
        found = [each for each in found if NOTHING not in (each.first, each.second) and each.place != "summary.json"]
    return found


def _curves(found: Sequence[Training]) -> list[Block]:
    lines: Mapping[str, Sequence] = {f"row {row}": one.lines for row, one in enumerate(found[:LINES])}
    note = f"The first {LINES} of {len(found)} trainings." if len(found) > LINES else ""
    return [Block(chart.title, svg=chart.svg, note=note) for chart in overlaid_charts(lines)]


if __name__ == "__main__":
    main(compare)
