"""Results of studies as text and pictures: `docs/results/studies/NAME.json` is what `sweep --out` wrote."""

import json
import re
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from dlvr_jax.errors import UserError
from dlvr_jax.reporting.drawing import as_file
from dlvr_jax.reporting.markdown import table
from dlvr_jax.reporting.point_plots import brief, intervals
from dlvr_jax.reporting.readable import duration, number
from dlvr_jax.reporting.results import Spread, where

KEYS = ("question", "config", "command", "metric", "device", "cpu", "versions", "date", "points")


@dataclass(frozen=True)
class Study:
    """One file: its name, and what it says."""

    name: str
    found: dict[str, Any]

    @property
    def points(self) -> list[dict[str, Any]]:
        """As they were asked for; those of a search from best to worst, the best ten."""
        points: list[dict[str, Any]] = self.found["points"]
        return self._ranked[:10] if len(points) > 20 else points

    @property
    def best(self) -> str | None:
        """What the best point has reached on validation, and what it is; None where no point has a value."""
        if not self._ranked:
            return None
        point = self._ranked[0]
        value = Spread.over([each["value"] for each in point["trainings"] if each["value"] is not None])
        return f"{self.found['metric']} {value}, best of {len(self.found['points'])}: {self.label(point)}"

    @property
    def _ranked(self) -> list[dict[str, Any]]:
        """From best to worst, those that have a rank."""
        return sorted((point for point in self.found["points"] if point["rank"] is not None), key=itemgetter("rank"))

    @property
    def keys(self) -> list[str]:
        """What varies."""
        return list(dict.fromkeys(key for point in self.found["points"] for key in point["settings"]))

    def label(self, point: dict[str, Any]) -> str:
        """A point by its settings."""
        settings = [f"{key.rpartition('.')[2]} {brief(text)}" for key, text in point["settings"].items()]
        return ", ".join(settings) or "as configured"


def read_studies(folder: Path) -> list[Study]:
    """All studies of a folder, in order of their chapters.

    Raises:
        UserError: a file is damaged.
    """
    studies = []
    for path in folder.glob("*.json"):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if missing := [key for key in KEYS if key not in found]:
                raise ValueError(f"it has no {missing[0]}")
            text(Study(path.stem, found))
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise UserError(f"{path} is no result of a study: {error}; run its sweep again with --out") from None
        studies.append(Study(path.stem, found))
    return sorted(studies, key=lambda study: [int(part) for part in re.findall(r"\d+", study.name)])


def picture(study: Study) -> str:
    """An SVG file: the mean of each point on validation, with its standard deviation."""
    valued = [point for point in study.points if point["mean"] is not None]
    values = [(point["mean"], point["std"] or 0.0) for point in valued]
    svg = intervals([study.label(point) for point in valued], values, study.found["metric"], study.found["question"])
    return as_file(svg)


def text(study: Study) -> str:
    """Markdown: its question, a table, a picture, and how it was made."""
    found, metric = study.found, study.found["metric"].partition("/")[2]
    columns = [*study.keys, found["metric"], f"test/{metric}", "seeds", "time", "parameters"]
    rows = []
    for point in study.points:
        settings = [brief(point["settings"].get(key, "-")) for key in study.keys]
        rows.append([*settings, *_measured(point, metric)])
    left_out = len(found["points"]) - len(rows)
    note = f"The best {len(rows)} of {len(found['points'])} points.\n\n" if left_out else ""
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("jax", "flax") if name in found["versions"])
    return (
        f"### {study.name}\n\n{found['question']}\n\n{note}{table(columns, rows)}\n"
        f"![{found['question']}](results/studies/{study.name}.svg)\n\n"
        f"`{found['command']}`; {where(found['device'], found['cpu'])}; {versions}; {found['date']}.\n"
    )


def _measured(point: dict[str, Any], metric: str) -> list[str]:
    """Spreads over the seeds; the time is that of one training, its share of its program's."""
    sound = [each for each in point["trainings"] if each["value"] is not None]
    if not sound:
        return ["-", "-", "0", "-", "-"]
    test = [each["test"][metric] for each in sound if metric in each["test"]]
    return [
        str(Spread.over([each["value"] for each in sound])),
        str(Spread.over(test)) if test else "-",
        str(len(sound)),
        duration(point["seconds"]),
        number(point["parameters"]),
    ]
