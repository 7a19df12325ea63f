"""Runs in a table: what differs in their configs, and what came out; a row a run, of a population a row a member."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlvr_jax.config import HOW, flatten
from dlvr_jax.metrics.set_up import SetUp, recorded, unlike
from dlvr_jax.reporting.readable import duration, headline, number
from dlvr_jax.run import Run
from dlvr_jax.schema import written
from dlvr_jax.sections import alone_of
from dlvr_jax.tasks.image_quality import is_judged

MISSING = "-"


@dataclass(frozen=True)
class Training:
    """One training: a run, or a member of a population."""

    name: str
    config: Mapping[str, Any]  # as if it were alone
    lines: Sequence[Mapping[str, Any]]  # of `metrics.jsonl`
    outcome: Mapping[str, Any]  # of `summary.json`; nothing before it has finished
    seconds: float | None
    parameters: int | None

    @property
    def measured(self) -> dict[str, Any]:
        """The main metric: on validation of the state that was tested, else of the last; and on test."""
        lines = [line for line in self.lines if line["split"] == "validation"]
        tested = [line for line in lines if line["step"] == self.outcome.get("tested_step")]
        validation = (tested or lines or [{}])[-1]
        test = {name.removeprefix("test/"): value for name, value in self.outcome.get("metrics", {}).items()}
        names = [name for name in headline({**validation, **test}) if name not in ("step", "split", "member")]
        main = self.config.get("eval.best") or next(iter(names), None)
        splits = {"validation": validation, "test": test}
        return {f"{split}/{main}": own[main] for split, own in splits.items() if main in own}

    @property
    def set_ups(self) -> dict[str, SetUp]:
        """By split, what the figures of a feature network rest on; nothing where there are none."""
        found = {line["split"]: recorded(line) for line in self.lines} | {"test": recorded(self._tested, "test/")}
        return {split: own for split, own in found.items() if own}

    @property
    def judged(self) -> set[str]:
        """The figures of a feature network that it has."""
        names = {name for line in self.lines for name in line} | {name.removeprefix("test/") for name in self._tested}
        return {name for name in names if is_judged(name)}

    def without_judged(self) -> "Training":
        """As if no feature network had judged it."""
        lines = [{name: value for name, value in line.items() if not is_judged(name)} for line in self.lines]
        kept = {name: value for name, value in self._tested.items() if not is_judged(name.removeprefix("test/"))}
        return dataclasses.replace(self, lines=lines, outcome={**self.outcome, "metrics": kept})

    @property
    def _tested(self) -> Mapping[str, Any]:
        metrics: Mapping[str, Any] = self.outcome.get("metrics", {})
        return metrics


def trainings(name: str, run: Run) -> list[Training]:
    """Those of a run folder, finished or not.

    Raises:
        UserError: it is no run, or damaged.
    """
    flat, summary, lines = flatten(run.config), run.summary() or {}, run.metrics()
    if origin := run.record.get("from"):
        flat["from"] = origin["run"]
    size = flat.get("population.size", 1)
    seconds = summary["seconds"] / size if summary else None
    if size == 1:
        return [Training(name, alone_of(flat, 0), lines, summary, seconds, summary.get("parameters"))]
    return [
        Training(
            f"{name}, member {k}",
            alone_of(flat, k),
            [line for line in lines if line.get("member") == k],
            summary["members"][k] if summary else {},
            seconds,
            summary.get("parameters"),
        )
        for k in range(size)
    ]


def comparable(found: Sequence[Training]) -> tuple[list[Training], str | None]:
    """The trainings; without the figures of feature networks where those rest on unlike set-ups, and why, in a line."""
    judged = [training for training in found if training.set_ups]
    for other in judged[1:]:
        if differs := _unlike(judged[0], other):
            names = ", ".join(sorted(set().union(*(training.judged for training in judged))))
            why = f"{other.name} was judged otherwise than {judged[0].name}, by {differs}"
            kept = [training.without_judged() if training.set_ups else training for training in found]
            return kept, f"not shown side by side: {names}; {why}"
    return list(found), None


def table(found: Sequence[Training]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows; of the config only keys that differ."""
    keys = _differing([training.config for training in found])
    metrics = list(dict.fromkeys(name for training in found for name in training.measured))
    failed = ("failed at step",) if any(training.outcome.get("failed") for training in found) else ()
    rows = []
    for row, one in enumerate(found):
        rows.append(
            (
                *(str(row), one.name, *(written(one.config.get(key, MISSING)) for key in keys)),
                *(number(one.measured.get(name)) for name in metrics),
                *(number(one.outcome.get("failed") or None) for _ in failed),
                *(MISSING if one.seconds is None else duration(one.seconds), number(one.parameters)),
                str(one.outcome.get("params_sha256", MISSING))[:12],
            )
        )
    return ("row", "run", *keys, *metrics, *failed, "time", "parameters", "parameters SHA-256"), rows


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that have not the same value everywhere, in the order in which they turn up."""
    keys = dict.fromkeys(key for config in configs for key in config if key not in HOW)
    return [key for key in keys if len({json.dumps(config.get(key, MISSING)) for config in configs}) > 1]


def _unlike(first: Training, second: Training) -> str:
    """In words what the figures of the two rest on that is unlike, of the first split where something is."""
    splits = [split for split in first.set_ups if split in second.set_ups]
    found = (", ".join(unlike(first.set_ups[split], second.set_ups[split])) for split in splits)
    return next((words for words in found if words), "")
