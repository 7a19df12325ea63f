"""Measured results: a JSON file each in `docs/results/`, written by `measure`, read by `list` and `results`.

    {"format": 2,
     "config": "configs/cnn/lenet5_digits.py",          with its argument, if it has one: ...py:tiny
     "flags": {"train.epochs": "10"},                   what the command changed in it, as text
     "command": "./launch.sh measure ...",              makes this file again
     "date": "2026-01-31",
     "seeds": [0, 1, 2],
     "metric": "test/accuracy", "lower_is_better": false,                                the one that counts
     "metrics": {"test/accuracy": {"mean": 0.99, "std": 0.001, "values": [...]}, ...},   a value for each seed; those
                                                        of training are of its last logged window
     "history": [{"100": 0.9, "200": 0.95}, ...],       of each seed: that metric on validation, by step
     "seconds": {"mean": ..., "std": ..., "values": [...]},                              of training
     "parameters": 61706, "steps": 281, "params_sha256": [...],
     "data": {...}, "device": {...}, "cpu": {...}, "versions": {...}, "git": [{"commit": ..., "dirty": false}],
     "set_up": {"network": ..., "sha256": ..., ...}}    what FID and its like rest on, where there are such figures: see
                                                        `dlvr_jax/metrics/set_up.py`; files before it have none

`std` is the sample standard deviation (divided by n - 1), null for a single seed. `data`, `device` and `versions` are
as in a run's `summary.json`, `cpu` as in its `environment.json`; `git` has each commit that a run was made with.
"""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlvr_jax.atomic_write import write_text
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.readable import number

FORMAT = 2


@dataclass(frozen=True)
class Spread:
    """Values of several seeds, with their mean and sample standard deviation."""

    mean: float
    std: float | None
    values: list[float]

    @classmethod
    def over(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value; where one is not finite, no deviation is."""
        std = None if len(values) == 1 else statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
        return cls(statistics.fmean(values), std, list(values))

    def __str__(self) -> str:
        text = number(self.mean)
        return text if self.std is None else f"{text} ± {self.std:.{len(text.partition('.')[2])}f}"


@dataclass(frozen=True)
class Result:
    """What one command measured; see the module for the fields."""

    config: str
    flags: dict[str, str]
    command: str
    date: str
    seeds: list[int]
    metric: str
    lower_is_better: bool
    metrics: dict[str, Spread]
    history: list[dict[str, float]]
    seconds: Spread
    parameters: int
    steps: int
    params_sha256: list[str]
    data: dict[str, Any]
    device: dict[str, Any]
    cpu: dict[str, Any]
    versions: dict[str, str]
    git: list[dict[str, Any]]
    set_up: dict[str, Any] | None = None

    @property
    def family(self) -> str:
        """The folder of the config: 'cnn'."""
        return Path(self.config).parent.name

    @property
    def value(self) -> Spread:
        """Of the metric that counts."""
        return self.metrics[self.metric]

    @property
    def where(self) -> str:
        """See `where`."""
        return where(self.device, self.cpu)


def where(device: Mapping[str, Any], cpu: Mapping[str, Any]) -> str:
    """A device in words; of a CPU its model, and the threads used."""
    if device["platform"] == "cpu":
        return f"{cpu['model']}, {cpu['threads']} threads"
    return f"{device['count']} x {device['kind']}"


def write(path: Path, result: Result) -> None:
    """Writes the file whole, or not at all."""
    write_text(path, json.dumps({"format": FORMAT, **dataclasses.asdict(result)}, indent=2) + "\n")


def read(path: Path) -> Result:
    """Reads one file.

    Raises:
        UserError: it cannot be read, or is not of this format, with its path.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(f"not of format {FORMAT}")
        spreads = {name: Spread(**spread) for name, spread in content["metrics"].items()}
        result = Result(**{**content, "metrics": spreads, "seconds": Spread(**content["seconds"])})
        if result.metric not in result.metrics or not result.seeds:
            raise ValueError(f"it has no {result.metric}")
        figures = [(own.mean, own.std or 0.0, *own.values) for own in (*spreads.values(), result.seconds)]
        if not all(isinstance(figure, int | float) for own in figures for figure in own):
            raise ValueError("a figure of it is no number")
        if not isinstance(result.set_up or {}, dict):
            raise ValueError("its set_up has no names")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is no result that can be read: {error}; measure it again, or remove it") from None
    return result


def read_all(folder: Path) -> list[Result]:
    """Every result of a folder, by config and then by file name.

    Raises:
        UserError: every file that cannot be read, a line each.
    """
    results: list[Result] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            results.append(read(path))
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*faults)
    return sorted(results, key=lambda result: result.config)


def of_config(results: Sequence[Result], config: str) -> Result | None:
    """The result of a config without flags: variants are not chosen by what they reach on the test split."""
    return next((result for result in results if result.config == config and not result.flags), None)
