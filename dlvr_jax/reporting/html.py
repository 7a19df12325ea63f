"""The report of a run: one page that needs nothing but itself, made from the run folder alone."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from dlvr_jax.atomic_write import write_text
from dlvr_jax.metrics.mean import mean_of
from dlvr_jax.reporting.blocks import blocks
from dlvr_jax.reporting.charts import bookkeeping_charts, learning_charts
from dlvr_jax.reporting.page import rendered
from dlvr_jax.reporting.readable import NOT_METRICS, duration, headline, label, number
from dlvr_jax.run import Run

_DISPLAYS = 1_300_000  # bytes for all displays; charts and tables are small beside them


@dataclass(frozen=True)
class _Setting:
    """A row of the table of settings."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class _Tile:
    """A figure that sums the run up."""

    title: str
    value: str
    chosen: bool  # the run was chosen by it
    over: str  # of a population: the members that it is the mean over


def write_report(run: Run) -> Path:
    """Makes the run's `report.html`, whole or not at all, and returns its path; the same run gives the same bytes.

    Works for a run that has not finished. Raises UserError where the run folder is damaged.
    """
    path = run.path / "report.html"
    write_text(path, rendered("report.html.j2", _page(run)))
    return path


def _page(run: Run) -> dict[str, Any]:
    """Everything that the template names."""
    record, environment, summary, lines = run.record, run.environment, run.summary(), run.metrics()
    name = PurePath(record["config_file"]).stem + (f":{record['argument']}" if record["argument"] else "")
    step = summary["step"] if summary else max((line["step"] for line in lines), default=0)
    shown = run.displays()
    members = {"members": shown.pop("members")} if "members" in shown else {}
    return {
        "name": name,
        "config_file": record["config_file"],
        "finished": summary is not None,
        "facts": _facts(record["config"], summary, lines, environment, step),
        "tiles": _tiles(record["config"], summary, lines),
        "members": blocks(members, _DISPLAYS),
        "learning": learning_charts(lines),
        "bookkeeping": bookkeeping_charts(lines),
        "displays": blocks(shown, _DISPLAYS),
        "settings": _settings(record),
        "cost": _cost(summary),
        "environment": _environment(environment, summary),
        "command": "./launch.sh " + str(environment["command"]),
        "reproduce": "./launch.sh reproduce " + shlex.quote(str(run.path)),
        "guarantee": summary["guarantee"] if summary else None,
        "hashes": _hashes(record, summary),
    }


def _facts(
    config: Mapping[str, Any],
    summary: Mapping[str, Any] | None,
    lines: list[dict[str, Any]],
    environment: Mapping[str, Any],
    step: int,
) -> list[str]:
    """The run in a line: what on what, how long, where."""
    model, data = (str(config[section]["name"]).rsplit(".", 1)[-1] for section in ("model", "data"))
    seconds = summary["seconds"] if summary else max((line.get("seconds", 0.0) for line in lines), default=0.0)
    device = environment["device"]
    count = f"{device['count']} x " if device["count"] > 1 else ""
    tested = summary.get("tested_step", step) if summary else step
    best = [] if tested == step else [f"tested: step {number(tested)}, the best {config['eval']['best']} on validation"]
    return [f"{model} on {data}", f"{number(step)} steps", *best, duration(seconds), f"{count}{device['kind']}"]


def _tiles(
    config: Mapping[str, Any], summary: Mapping[str, Any] | None, lines: Sequence[Mapping[str, Any]]
) -> list[_Tile]:
    """The figures that sum the run up, first those that it was chosen by."""
    figures = headline(summary["metrics"]) if summary else _latest(lines)
    best = str(config.get("eval", {}).get("best"))
    is_best = {name: name.endswith("/" + best.rsplit("/", 1)[-1]) for name in figures}
    order = sorted(figures, key=lambda name: not is_best[name])
    return [_Tile(label(name), number(figures[name]), is_best[name], _over(summary, lines)) for name in order]


def _latest(lines: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The last figures of the validation split, or of training before there are any; means over members."""
    for split in ("validation", "train"):
        last = {line.get("member"): line for line in lines if line["split"] == split}
        mean = mean_of(
            [{name: value for name, value in line.items() if name not in NOT_METRICS} for line in last.values()]
        )
        if mean:
            return {f"{split}/{name}": value for name, value in headline(mean).items()}
    return {}


def _over(summary: Mapping[str, Any] | None, lines: Sequence[Mapping[str, Any]]) -> str:
    """Over how many members a figure is the mean, in words; those that failed are not in it."""
    members = summary.get("members", []) if summary else []
    count = len(members) or len({line.get("member") for line in lines})
    sound = count - sum(own["failed"] > 0 for own in members)
    if count < 2:
        return ""
    return f"mean over {count} members" if sound == count else f"mean over {sound} of {count} members"


def _settings(record: Mapping[str, Any]) -> list[_Setting]:
    """Every key of the config, in its order."""
    return [
        _Setting(key, "none" if value is None else str(value), record["origin"].get(key, "default"))
        for key, value in _flat(record["config"])
    ]


def _cost(summary: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the run took."""
    if summary is None:
        return []
    compiled = [(f"compiled {label(key)}", value) for key, value in summary["compiled"].items()]
    rows = [("parameters", summary["parameters"]), ("examples seen", summary["examples"]), *compiled]
    written = [(key, duration(value) if key.endswith("seconds") else number(value)) for key, value in rows]
    return [("total time", duration(summary["seconds"])), *written]


def _environment(environment: Mapping[str, Any], summary: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Where it ran and on which data, a row each."""
    sections = ("device", "cpu", "versions", "flags", "git", "form")
    rows = [(key, value) for key, value in _flat({name: environment.get(name, {}) for name in sections})]
    data = [(key, value) for key, value in _flat({"data": summary["data"]})] if summary else []
    return [(key.replace(".", " "), str(value)) for key, value in [*rows, *data] if value not in ({}, None)]


def _hashes(record: Mapping[str, Any], summary: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What a repetition is compared with."""
    rows = [("config fingerprint", str(record["fingerprint"]))]
    return rows + ([("parameters SHA-256", str(summary["params_sha256"]))] if summary else [])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; an empty mapping is a value."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
