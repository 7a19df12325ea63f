"""Sweeps as their trainings leave them, without the trainings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlvr_jax import config
from dlvr_jax.run import Run
from dlvr_jax.sweeps.collect import Judge
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.plan import Base, Job, Member, plan
from dlvr_jax.sweeps.space import Sweep, points_of, read
from tests.reporting.made_up import ENVIRONMENT, SUMMARY

Value = Callable[[Member], float | None]  # of a training on validation; None: not finite


@dataclass(frozen=True)
class MadeUp:
    """What a report is made of."""

    folder: SweepFolder
    base: Base
    sweep: Sweep
    judge: Judge


def base_of(file: Path = config.ROOT / "configs/cnn/lenet5_digits.py", flags: Mapping[str, str] | None = None) -> Base:
    source = config.Source(file, "tiny")
    return Base(source, config.load(source), dict(flags or {}))


def made_up_sweep(
    path: Path,
    what: Mapping[str, Any],
    value: Value,
    judge: Judge | None = None,
    base: Base | None = None,
    most: int = 4,
) -> MadeUp:
    """Each training improves to its value over three evaluations; its test metric is as bad as its value is good."""
    base, judge, sweep = base or base_of(), judge or Judge("accuracy", "higher", chosen=True), read(what, "a test")
    folder = SweepFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    folder.begin({"command": "./launch.sh sweep a_test.py", **base.record, "sweep": vars(sweep)})
    points = dict(enumerate(points_of(sweep)))
    generation = Generation(points, plan(base, points, sweep.seeds, lambda point: most))
    folder.keep(0, generation)
    for number, job in enumerate(generation.jobs):
        start = job.start(base, path / "runs")
        finish(Run(start.folder), start.record(0), job, judge, value, seconds=10.0 * (number + 1))
    return MadeUp(folder, base, sweep, judge)


def finish(run: Run, record: dict, job: Job, judge: Judge, value: Value, seconds: float) -> None:
    """The folder of a finished training or population."""
    run.write("config.json", record)
    values = [value(member) for member in job.members]
    many = len(values) > 1
    form = {"kind": "population", "members": len(values), "strategy": "vmap"} if many else {"kind": "solo"}
    run.write("environment.json", {**ENVIRONMENT, "form": {**form, "devices": 1}})
    for step in (8, 16, 24):
        for k, reached in enumerate(values):
            now = (float("nan") if reached is None else reached) * (
                step / 24 if judge.direction == "higher" else 24 / step
            )
            run.append_metrics(
                {"step": step, "split": "validation", **({"member": k} if many else {}), judge.metric: now}
            )
    entries = [
        {
            "failed": 8 * (reached is None),
            "tested_step": 24,
            "params_sha256": "c0ffee" * 10,
            "metrics": {f"test/{judge.metric}": 1 - (reached or 0.0)},
        }
        for reached in values
    ]
    own: dict[str, Any] = {"members": entries} if many else entries[0]
    wide = "model.widths" in job.members[0].settings
    run.write("summary.json", SUMMARY | own | {"seconds": seconds, "parameters": 200 + 100 * wide})
