"""The report of a sweep: one page that needs nothing but itself, and beside it the same for other programs."""

import math
from pathlib import Path

from dlvr_jax.reporting.blocks import Block
from dlvr_jax.reporting.page import write_page
from dlvr_jax.reporting.point_plots import brief
from dlvr_jax.reporting.readable import duration, label, number
from dlvr_jax.sweeps.collect import Judge, Point, points
from dlvr_jax.sweeps.comparison import Comparison, mean, parameters, seconds
from dlvr_jax.sweeps.drawings import coordinates, cost, curves, importance, short
from dlvr_jax.sweeps.exports import train_command, write_best, write_points
from dlvr_jax.sweeps.folder import SweepFolder
from dlvr_jax.sweeps.plan import Base
from dlvr_jax.sweeps.space import Sweep


def write_report(folder: SweepFolder, base: Base, sweep: Sweep, judge: Judge) -> Path:
    """Writes `report.html`, `points.csv`, `points.json` and `best.py` into the sweep's folder, of what there is so far.

    Returns the path of the report.
    """
    record = folder.record()
    comparison = Comparison(sweep, judge, points(folder, base, judge))
    write_points(folder.path, record, comparison)
    write_best(folder.path / "best.py", base, record, comparison)
    costs = [block for name, paid in comparison.costs.items() for block in cost(comparison, name, paid)]
    sections = {
        "Points": [_table(comparison)],
        "Looking closer": [*curves(comparison), *coordinates(comparison), *importance(comparison), *costs],
        "Failed": _failed(comparison),
        "Make it again": _again(comparison, folder, record["command"]),
    }
    title = sweep.question or f"What {record['config']} varies"
    shown = {heading: made for heading, made in sections.items() if made}
    return write_page(folder.path / "report.html", title, _facts(comparison, record["config"]), shown)


def _facts(comparison: Comparison, source: str) -> list[str]:
    """The sweep in a line."""
    judge, seeds = comparison.judge, comparison.sweep.seeds
    rows = [row for point in comparison.points for row in point.rows]
    finished = sum(row.value is not None for row in rows)
    return [
        source,
        f"{len(comparison.points)} points, {finished} of {len(comparison.points) * len(seeds)} trainings finished",
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        f"judged by validation {label(judge.metric)}: {judge.direction} is better, each training's "
        f"{'best' if judge.chosen else 'last'} value",
        duration(sum(row.seconds or 0.0 for row in rows)),
        *(_best(comparison, point) for point in comparison.ranked[:1]),
    ]


def _best(comparison: Comparison, point: Point) -> str:
    keys, metric = list(point.settings), comparison.judge.metric
    settings = [f"{name} {brief(point.settings[key])}" for name, key in zip(short(keys), keys, strict=True)]
    test = point.test(metric)
    reached = f"{point.value} on validation" + (f", {test} on test" if test else "")
    return f"best: point {', '.join([str(point.number), *settings])}: {reached}"


def _table(comparison: Comparison) -> Block:
    """A row for each point, as they were asked for; those of a search from best to worst."""
    judge, keys, costs = comparison.judge, comparison.sweep.keys, comparison.costs
    fronts = {name: comparison.front(cost) for name, cost in costs.items()}
    rest = [point for point in comparison.points if point.number not in comparison.ranks]
    settings, metric = dict(zip(short(keys), keys, strict=True)), label(judge.metric)
    rows = []
    for point in [*comparison.ranked, *rest] if comparison.sweep.search else comparison.points:
        paid = seconds(point)
        rows.append(
            {
                "point": str(point.number),
                **{name: brief(point.settings.get(key, "-")) for name, key in settings.items()},
                "rank": str(comparison.ranks.get(point.number, "-")),
                f"validation {metric}": str(point.value or "-"),
                "difference": _difference(comparison, point),
                f"test {metric}": str(point.test(judge.metric) or "-"),
                "time": "-" if paid is None else duration(paid),
                "parameters": number(parameters(point)),
                "ended early": point.ended or "-",
                "front": ", ".join(name for name, front in fronts.items() if point in front) or "-",
            }
        )
    columns = [name for name in rows[0] if any(row[name] != "-" for row in rows)]
    numeric = frozenset(place for place, name in enumerate(columns) if name not in (*settings, "front"))
    note = (
        "Mean ± sample standard deviation over the seeds. Rank: by the mean on validation, points that lack seeds "
        "last, never by the test split. Difference: to the first point, between trainings of the same seed. Time: of "
        "one training, its share of its program's. Front: no other point is better at no more of that cost."
    )
    cells = tuple(tuple(row[name] for name in columns) for row in rows)
    return Block("What they set, and what came out", columns=tuple(columns), rows=cells, numeric=numeric, note=note)


def _difference(comparison: Comparison, point: Point) -> str:
    """With as many digits as the value has."""
    found = comparison.difference(point)
    if found is None or point.number not in comparison.ranks or point is comparison.points[0]:
        return "-"
    digits = max(3 - math.floor(math.log10(abs(mean(point)) or 1)), 0)
    return f"{found.mean:+.{digits}f}" + ("" if found.std is None else f" ± {found.std:.{digits}f}")


def _failed(comparison: Comparison) -> list[Block]:
    failed = [(point, row) for point in comparison.points for row in point.rows if row.failed]
    said = [f"point {point.number}, seed {row.seed}: {row.failed} (logs/{row.run}.log)" for point, row in failed]
    return [Block("Trainings without a result", passages=tuple(said))] if said else []


def _again(comparison: Comparison, folder: SweepFolder, command: str) -> list[Block]:
    best = [train_command(folder.path / "best.py", point) for point in comparison.ranked[:1]]
    return [Block("This sweep, and its best point alone", passages=(command, *best))]
