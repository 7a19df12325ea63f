"""What came out of a sweep, read from its run folders: a row for each training, then a row for each point."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.results import Spread
from dlvr_jax.run import Run
from dlvr_jax.sweeps.folder import SweepFolder
from dlvr_jax.sweeps.plan import Base, Job, without_origin
from dlvr_jax.sweeps.space import Settings, Sweep, points_of
from dlvr_jax.tasks.task import Direction


@dataclass(frozen=True)
class Judge:
    """How trainings are compared: by a validation metric, which a state may have been chosen by."""

    metric: str
    direction: Direction
    chosen: bool  # whether the best state by it is kept: then the best value counts, else the last

    def value(self, history: Mapping[int, float]) -> float:
        """Of a training, by its values on validation at each step."""
        if not self.chosen:
            return history[max(history)]
        return (min if self.direction == "lower" else max)(history.values())


def judge_of(base: Base, sweep: Sweep) -> Judge:
    """By `sweep.metric`, else the config's `eval.best`, else the first metric that the task names.

    Raises:
        UserError: the task has no such metric, or the data no validation split.
    """
    experiment = build(base.complete({} if sweep.search else without_origin(points_of(sweep)[0])).flat)
    directions, best = experiment.task.directions, experiment.evaluation.best
    metric = sweep.metric or best or next(iter(directions))
    if metric not in directions:
        raise UserError(f"get_sweep: metric = {metric}: no such metric; there are {', '.join(directions)}")
    if not experiment.data.spec.splits["validation"]:
        raise UserError(f"data.name = {experiment.flat['data.name']} has no validation split to compare points by")
    return Judge(metric, directions[metric], metric == best)


@dataclass(frozen=True)
class Row:
    """One training. A failed one has a reason, and no values."""

    point: int
    seed: int
    run: str  # the folder's name
    member: int | None  # of a population
    failed: str = ""
    value: float | None = None  # of the judge, on validation
    history: Mapping[int, float] = field(default_factory=dict)  # by step
    test: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None  # its share of the program's
    parameters: int | None = None


@dataclass(frozen=True)
class Point:
    """What the trainings of one point have in common, and how they spread over the seeds."""

    number: int
    settings: Settings
    rows: tuple[Row, ...]

    @property
    def sound(self) -> list[Row]:
        """The rows with values."""
        return [row for row in self.rows if row.value is not None]

    @property
    def value(self) -> Spread | None:
        """The judge's, over the seeds."""
        return Spread.over([row.value for row in self.sound if row.value is not None]) if self.sound else None

    def test(self, name: str) -> Spread | None:
        """A test metric, over the seeds that have it."""
        values = [row.test[name] for row in self.sound if name in row.test]
        return Spread.over(values) if values else None


def points(folder: SweepFolder, base: Base, judge: Judge) -> list[Point]:
    """All points of the generations that are planned, in order; each with its rows in order of its seeds."""
    made: list[Point] = []
    for generation in folder.generations():
        found = list(rows(folder, base, generation.jobs, judge))
        for number, settings in enumerate(generation.points, start=len(made)):
            own = sorted((row for row in found if row.point == number), key=lambda row: row.seed)
            made.append(Point(number, settings, tuple(own)))
    return made


def rows(folder: SweepFolder, base: Base, jobs: Sequence[Job], judge: Judge) -> Iterator[Row]:
    """A row for each member of these jobs that has finished or failed."""
    for job in folder.leaves(jobs, base):
        run = folder.run(job, base)
        failure = folder.failure(run)
        if failure is not None:
            for k, member in enumerate(job.members):
                yield Row(member.point, member.seed, run.path.name, _number(job, k), failed=failure["reason"])
        elif (summary := run.summary()) is not None:
            yield from _finished(job, run, summary, judge)


def _finished(job: Job, run: Run, summary: Mapping[str, Any], judge: Judge) -> Iterator[Row]:
    lines = [line for line in run.metrics() if line["split"] == "validation"]
    for k, member in enumerate(job.members):
        number = _number(job, k)
        own = summary if number is None else summary["members"][k]
        row = Row(member.point, member.seed, run.path.name, number)
        if step := own.get("failed"):
            yield dataclasses.replace(row, failed=f"step {step} is not finite")
            continue
        history = {line["step"]: line[judge.metric] for line in lines if line.get("member") == number}
        test = {name.removeprefix("test/"): value for name, value in own["metrics"].items() if name.startswith("test/")}
        yield dataclasses.replace(
            row,
            value=judge.value(history),
            history=history,
            test=test,
            seconds=summary["seconds"] / len(job.members),
            parameters=summary["parameters"],
        )


def _number(job: Job, k: int) -> int | None:
    return k if len(job.members) > 1 else None
