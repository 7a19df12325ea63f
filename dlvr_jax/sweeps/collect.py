"""What came out of a sweep, read from its run folders: a row for each training, then a row for each point."""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.extract import Place
from dlvr_jax.reporting.results import Spread
from dlvr_jax.run import Run
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.plan import Base, Job, Member, without_origin
from dlvr_jax.sweeps.space import Settings, Sweep, points_of
from dlvr_jax.tasks.task import Direction
from dlvr_jax.training.checkpoint import read


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
        told = [value for value in history.values() if not math.isnan(value)]
        return (min if self.direction == "lower" else max)(told, default=math.nan)


def judge_of(base: Base, sweep: Sweep) -> Judge:
    """By `sweep.metric`, else the config's `eval.best`, else the first metric that the task names.

    Raises:
        UserError: the task has no such metric, the data no validation split, or a rung no validation.
    """
    experiment = build(base.complete({} if sweep.search else without_origin(points_of(sweep)[0])).flat)
    directions, best = experiment.task.directions, experiment.evaluation.best
    metric = sweep.metric or best or next(iter(directions))
    if metric not in directions:
        raise UserError(f"get_sweep: metric = {metric}: no such metric; there are {', '.join(directions)}")
    if not experiment.data.spec.splits["validation"]:
        raise UserError(f"data.name = {experiment.flat['data.name']} has no validation split to compare points by")
    if sweep.rungs and experiment.train.early_stopping is not None:
        raise UserError("train.early_stopping: rungs end trainings too; leave one of them out")
    every, steps = experiment.train.eval_every, experiment.train.steps or 0
    if wrong := [rung for rung in sweep.rungs if rung % every or rung >= steps]:
        raise UserError(
            f"get_sweep: rungs: {wrong[0]} is no multiple of train.eval_every = {every} below {steps} steps"
        )
    return Judge(metric, directions[metric], metric == best)


@dataclass(frozen=True)
class Row:
    """One training. One that failed has a reason, one that was ended at a rung its step; neither has a value."""

    point: int
    seed: int
    run: str  # the folder's name
    member: int | None  # of a population
    failed: str = ""
    paused: int | None = None  # the step that it has reached, where that is not the end
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

    @property
    def ended(self) -> str:
        """How its trainings without a value ended, in words; "" where all have one."""
        failed, paused = sum(bool(row.failed) for row in self.rows), {row.paused for row in self.rows if row.paused}
        words = [f"{failed} failed"] if failed else []
        return ", ".join([*words, *(f"ended at step {step}" for step in sorted(paused))])

    def test(self, name: str) -> Spread | None:
        """A test metric, over the seeds that have it."""
        values = [row.test[name] for row in self.sound if name in row.test]
        return Spread.over(values) if values else None


def points(folder: SweepFolder, base: Base, judge: Judge) -> list[Point]:
    """All points that are planned, by number; each with its rows in order of its seeds."""
    settings: dict[int, Settings] = {}
    latest: dict[tuple[int, int], Row] = {}  # of those that went on at a rung, where they went on
    for generation in folder.generations():
        settings |= generation.points
        latest |= {(row.point, row.seed): row for row in rows(folder, base, generation.jobs, judge)}
    found = [latest[place] for place in sorted(latest)]
    return [Point(number, own, tuple(row for row in found if row.point == number)) for number, own in settings.items()]


def judged(folder: SweepFolder, base: Base, generation: Generation, judge: Judge) -> dict[int, float]:
    """The value of each point where its generation pauses or ends, a mean over its seeds.

    A point of which one seed has failed, or has no finite value, is left out.
    """
    values: dict[int, list[float]] = {}
    for row in rows(folder, base, generation.jobs, judge):
        value = row.value if generation.until is None else row.history.get(generation.until)
        if value is not None and math.isfinite(value):
            values.setdefault(row.point, []).append(value)
    planned = Counter(member.point for job in generation.jobs for member in job.members)
    return {number: fmean(own) for number, own in values.items() if len(own) == planned[number]}


def places(folder: SweepFolder, base: Base, before: int) -> dict[Member, Place]:
    """Where the generations before this number have left each member."""
    found: dict[Member, Place] = {}
    for generation in itertools.islice(folder.generations(), before):
        for job in folder.leaves(generation.jobs, base):
            run = folder.run(job, base)
            found |= {member: Place(run, _number(job, k)) for k, member in enumerate(job.members)}
    return found


def rows(folder: SweepFolder, base: Base, jobs: Sequence[Job], judge: Judge) -> Iterator[Row]:
    """A row for each member of these jobs that has been validated, or failed."""
    for job in folder.leaves(jobs, base):
        run = folder.run(job, base)
        failure = folder.failure(run)
        for k, member in enumerate(job.members):
            row = Row(member.point, member.seed, run.path.name, _number(job, k))
            if failure is not None:
                yield dataclasses.replace(row, failed=failure["reason"])
            elif run.exists():
                yield from _trained(row, run, len(job.members), judge)


def _trained(row: Row, run: Run, members: int, judge: Judge) -> Iterator[Row]:
    """As far as it has come."""
    lines = [line for line in run.metrics() if line["split"] == "validation" and line.get("member") == row.member]
    history = {line["step"]: line[judge.metric] for line in lines}
    summary = run.summary()
    if not history:
        return
    own = summary if summary is None or row.member is None else summary["members"][row.member]
    failed = _failed_step(run, row.member, max(history)) if own is None else own.get("failed")
    if failed:
        yield dataclasses.replace(row, failed=f"step {failed} is not finite")
        return
    if summary is None or own is None:
        yield dataclasses.replace(row, paused=max(history), history=history)
        return
    yield dataclasses.replace(
        row,
        value=judge.value(history),
        history=history,
        test={name.removeprefix("test/"): value for name, value in own["metrics"].items() if name.startswith("test/")},
        seconds=summary["seconds"] / members,
        parameters=summary["parameters"],
    )


def _failed_step(run: Run, member: int | None, step: int) -> int:
    """The update that was not finite, of a training that has a checkpoint of this step; else 0."""
    path = run.checkpoints / str(step)
    return int(np.atleast_1d(read(path)[0]["state/failed"])[member or 0]) if path.exists() else 0


def _number(job: Job, k: int) -> int | None:
    return k if len(job.members) > 1 else None
