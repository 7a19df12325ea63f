"""What a sweep found, for other programs: `points.csv`, `points.json`, and `best.py`, the best point as a config."""

import csv
import io
import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlvr_jax import config
from dlvr_jax.atomic_write import write_text
from dlvr_jax.reporting.results import Spread
from dlvr_jax.run import Run
from dlvr_jax.sweeps.collect import Point
from dlvr_jax.sweeps.comparison import Comparison, parameters, seconds
from dlvr_jax.sweeps.plan import FROM, Base, without_origin

FORMAT = 1  # of points.json
_BEST = '''# {title}
# {reached}
# Train it: {command}

from ml_collections import ConfigDict

from dlvr_jax import check, config

BASE = config.Source(config.ROOT / {file!r}, {argument!r})
SETTINGS = {{{settings}}}


def get_config(arg: str = "") -> ConfigDict:
    """The base config with these settings. Variants: those of the base config."""
    whole = check.complete(config.load(config.Source(BASE.file, arg or BASE.argument)), SETTINGS)
    said = {{key: value for key, value in whole.flat.items() if whole.origin[key] != "default"}}
    return ConfigDict(config.nest(said))
'''


def write_points(folder: Path, record: dict[str, Any], comparison: Comparison) -> None:
    """Both files of points; `record` is what the sweep's folder keeps of it."""
    judge = comparison.judge
    head = {
        "metric": f"validation/{judge.metric}",
        "direction": judge.direction,
        "value": "best" if judge.chosen else "last",  # of each training's values
        "command": record["command"],
        "config": record["config"],
        "question": comparison.sweep.question,
        **_environment(folder, comparison),
    }
    found = {"format": FORMAT, **head, "points": [_point(comparison, point) for point in comparison.points]}
    write_text(folder / "points.json", json.dumps(found, indent=1) + "\n")
    text = io.StringIO()
    rows = [_row(comparison, point) for point in comparison.points]
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(folder / "points.csv", text.getvalue())


def _environment(folder: Path, comparison: Comparison) -> dict[str, Any]:
    """Where the trainings with a value were made, their commits, the day of the last; nothing before the first."""
    runs = {row.run: Run(folder / "runs" / row.run) for point in comparison.points for row in point.sound}
    if not runs:
        return {}
    environments = [run.environment for run in runs.values()]
    last = max((run.path / "summary.json").stat().st_mtime for run in runs.values())
    commits = {json.dumps(environment["git"], sort_keys=True): environment["git"] for environment in environments}
    return {
        **{key: environments[0][key] for key in ("device", "cpu", "versions")},
        "git": [commits[key] for key in sorted(commits)],
        "date": datetime.fromtimestamp(last, UTC).date().isoformat(),
    }


def write_best(path: Path, base: Base, record: dict[str, Any], comparison: Comparison) -> None:
    """The best point by its mean on validation, with its first seed: a config that `train` takes, from any folder."""
    if not comparison.ranked:
        path.unlink(missing_ok=True)
        return
    best, judge, sweep = comparison.ranked[0], comparison.judge, comparison.sweep
    settings = base.flags | without_origin(best.settings) | {"seed": str(sweep.seeds[0])}
    file = base.source.file
    about = {
        "title": f"Point {best.number}, the best of {len(comparison.points)} by validation {judge.metric}",
        "reached": f"{best.value}, seeds {', '.join(str(row.seed) for row in best.sound)}; by {record['command']}",
        "command": train_command(path, best),
    }
    text = _BEST.format(
        **{name: " ".join(line.split()) for name, line in about.items()},
        file=str(file.relative_to(config.ROOT) if file.is_relative_to(config.ROOT) else file),
        argument=base.source.argument,
        settings="".join(f"\n    {key!r}: {value!r}," for key, value in settings.items()) + "\n",
    )
    write_text(path, text)


def train_command(path: Path, best: Point) -> str:
    """What trains the config of the best point."""
    origin = ["--from", best.settings[FROM]] if FROM in best.settings else []
    return shlex.join(["./launch.sh", "train", str(path), *origin])


def _point(comparison: Comparison, point: Point) -> dict[str, Any]:
    """All that is known of it; a training for each seed that has ended."""
    value = point.value
    trainings = [
        {
            **{"seed": row.seed, "run": row.run, "member": row.member, "value": row.value, "test": row.test},
            **{"seconds": row.seconds, "failed": row.failed or None, "ended_at_step": row.paused},
        }
        for row in point.rows
    ]
    return {
        "number": point.number,
        "settings": point.settings,
        "rank": comparison.ranks.get(point.number),
        "mean": value.mean if value else None,
        "std": value.std if value else None,
        "seconds": seconds(point),
        "parameters": parameters(point),
        "trainings": trainings,
    }


def _row(comparison: Comparison, point: Point) -> dict[str, Any]:
    """A row of the table, numbers in full."""
    judge = comparison.judge
    return {
        "point": point.number,
        **{key: point.settings.get(key) for key in comparison.sweep.keys},
        "rank": comparison.ranks.get(point.number),
        **_spread(f"validation/{judge.metric}", point.value),
        **_spread("difference", comparison.difference(point)),
        **_spread(f"test/{judge.metric}", point.test(judge.metric)),
        "seconds": seconds(point),
        "parameters": parameters(point),
        "seeds": len(point.sound),
        "failed": sum(bool(row.failed) for row in point.rows),
    }


def _spread(name: str, found: Spread | None) -> dict[str, float | None]:
    return {name: found.mean if found else None, f"{name} std": found.std if found else None}
