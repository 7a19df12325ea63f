"""`./launch.sh sweep CONFIG [--workdir DIR] [--sweep FILE] [--workers N] [--launcher NAME] [--dry-run]`.

Trains everything that a config varies, and compares it.

What varies is said by `get_sweep` in the config file, or in FILE. Points whose programs are the same are trained as
one population. The same command goes on where a sweep was stopped; `--retry failed` tries failed points again.
"""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax

from dlvr_jax import config
from dlvr_jax.atomic_write import check_file, write_text
from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.extract import Place
from dlvr_jax.reporting.console import Progress
from dlvr_jax.schema import Between
from dlvr_jax.sections import VARY
from dlvr_jax.sweeps.collect import Judge, judge_of, places, points
from dlvr_jax.sweeps.driver import Driver
from dlvr_jax.sweeps.engines.engine import Engine
from dlvr_jax.sweeps.engines.local import Local
from dlvr_jax.sweeps.estimate import estimate, most_members
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.generations import first_jobs, generations
from dlvr_jax.sweeps.plan import Base, Job, Member, without_origin
from dlvr_jax.sweeps.printed import print_plan, print_points
from dlvr_jax.sweeps.report import write_report
from dlvr_jax.sweeps.space import Settings, Sweep, read
from dlvr_jax.training.loop import Stopped
from experiments.command import arguments, main

LAUNCHERS = ("local", "slurm", "ray")
POPULATION = ("population.size", "population.seeds")


def sweep(argv: Sequence[str]) -> int:
    """One sweep, from plan to comparison; the exit code is not 0 where a signal stopped it or something failed."""
    parser = arguments("sweep", "Train everything that a config's get_sweep varies, and compare it.")
    parser.add_argument("config", metavar="CONFIG", help="configs/FAMILY/NAME.py, or with an argument NAME.py:tiny")
    parser.add_argument("--workdir", type=Path, help="the sweep's folder (default: runs/sweeps/NAME-FINGERPRINT)")
    parser.add_argument("--sweep", metavar="FILE", help="the file with get_sweep (default: CONFIG)")
    parser.add_whole("--workers", Between(1, 1000), default=1, metavar="N", help="programs at once (default: 1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the points as JSON there too")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="local", help="where programs run (default: local)")
    parser.add_argument("--address", metavar="HOST:PORT", help="of the Ray cluster (default: auto)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--retry", choices=("failed",), help="try again what failed")
    known, rest = parser.parse_known_args(argv)
    if known.address is not None and known.launcher != "ray":
        raise UserError(f"--address {known.address}: names a Ray cluster; give --launcher ray as well, or leave it out")
    if known.out is not None:
        check_file(known.out)
    options = [flag for flag in rest if known.launcher == "slurm" and flag.startswith("--slurm.")]
    jax.config.update("jax_platforms", "cpu")  # of this process, which only looks at shapes: devices are for trainings
    source = config.find(known.config)
    base = Base(source, config.load(source), config.flags([flag for flag in rest if flag not in options]))
    wanted = _wanted(source if known.sweep is None else config.find(known.sweep), base)
    if known.retry and wanted.search:
        raise UserError("--retry failed: a search has gone on by what failed; begin it anew with another --workdir")
    judge = judge_of(base, wanted)
    sharing = known.workers if known.launcher == "local" else 1
    record = {"command": shlex.join(["./launch.sh", "sweep", *argv]), **base.record, "sweep": vars(wanted)}
    folder = SweepFolder.named(known.workdir, source.name, record)
    if known.dry_run:
        print_plan(base, next(_generations(folder, base, wanted, judge, sharing)))
        if wanted.search:
            print(f"the first of {-(-wanted.trials // wanted.generation)} generations; {wanted.trials} points in all")
        return 0
    with folder.locked():
        folder.begin(record)
        if known.retry:
            print(f"trying {folder.forgive()} failed programs again", file=sys.stderr)
        try:
            engine = _engine(known.launcher, known.workers, known.address or "auto", options)
            _train(folder, base, wanted, judge, engine, known.workers, sharing)
        except Stopped as stopped:
            print("stopped: the trainings have saved their states; the same command goes on", file=sys.stderr)
            return 128 + (stopped.signal or 0)
        code = _tell(folder, base, wanted, judge)
        if known.out is not None:
            write_text(known.out, (folder.path / "points.json").read_text(encoding="utf-8"))
            print(f"points  {known.out}")
        return code


def _wanted(source: config.Source, base: Base) -> Sweep:
    """What varies: not what a flag sets, nor how a training runs, nor what makes a population."""
    wanted = read(config.call(source, "get_sweep"), str(source))
    if "seed" in base.flags or "seed" in wanted.keys:
        raise UserError("seed: the seeds of a sweep are the field seeds of its get_sweep")
    if how := [key for key in wanted.keys if key in config.HOW]:
        raise UserError(
            *(f"{key}: says only how a training runs, so its points are one; set it by a flag" for key in how)
        )
    makers = [key for key in (*base.values, *base.flags, *wanted.keys) if key in POPULATION or key.startswith(VARY)]
    if makers:
        raise UserError(*(f"{key}: a sweep makes populations of its points by itself; leave it out" for key in makers))
    if both := [key for key in wanted.keys if key in base.flags]:
        raise UserError(*(f"--config.{key}: the sweep varies this key; leave one of them out" for key in both))
    return wanted


def _engine(launcher: str, workers: int, address: str, options: Sequence[str]) -> Engine:
    """What trains; Slurm's and Ray's parts are imported only where they are asked for."""
    if launcher == "slurm":
        from dlvr_jax.sweeps.engines.slurm import Slurm

        return Slurm(options)
    if launcher == "ray":
        from dlvr_jax.sweeps.engines.ray import Ray

        return Ray(address, workers)
    return Local(workers)


def _train(
    folder: SweepFolder, base: Base, wanted: Sweep, judge: Judge, engine: Engine, workers: int, sharing: int
) -> None:
    for own, job in first_jobs(folder, wanted):
        _run(folder, own, engine, workers, Generation({}, [job]), {})
        if failure := folder.failure(folder.run(job, own)):
            raise UserError(f"{own.source}, from which points start, failed: {failure['reason']}")
    for number, generation in enumerate(_generations(folder, base, wanted, judge, sharing)):
        if folder.generation(number) is None:
            print_plan(base, generation)
            folder.keep(number, generation)
        left = places(folder, base, before=number) if wanted.rungs else {}
        _run(folder, base, engine, workers, generation, left)
        if folder.generation(number + 1) is None:
            write_report(folder, base, wanted, judge)


def _run(
    folder: SweepFolder,
    base: Base,
    engine: Engine,
    workers: int,
    generation: Generation,
    left: Mapping[Member, Place],
) -> None:
    """A generation's trainings, with a line that follows them."""
    total = sum(len(job.members) * (generation.until or _steps(base, job)) for job in generation.jobs)
    with Progress(total) as progress:

        def watch(steps: int, done: int) -> None:
            progress.update(steps, {"trainings done": done}, None)

        Driver(folder, base, engine, workers, progress.note, watch).run(generation.jobs, generation.until, left)


def _steps(base: Base, job: Job) -> int:
    """Of each member's training."""
    return build(base.complete(without_origin(job.members[0].settings)).flat).train.steps or 0


def _generations(folder: SweepFolder, base: Base, wanted: Sweep, judge: Judge, sharing: int) -> Iterator[Generation]:
    """`sharing`: how many programs share the memory."""

    def limit(point: Settings) -> int:
        return wanted.members or most_members(estimate(base.arguments(without_origin(point))), sharing)

    return generations(folder, base, wanted, judge, limit)


def _tell(folder: SweepFolder, base: Base, wanted: Sweep, judge: Judge) -> int:
    """The points, by value; 1 where something failed."""
    found = points(folder, base, judge)
    print_points(found, wanted, judge)
    failed = {row.run: row.failed for point in found for row in point.rows if row.failed}
    for run, reason in failed.items():
        print(f"failed: {folder.path / 'runs' / run}: {reason}", file=sys.stderr)
    print(f"sweep   {folder.path}")
    print(f"report  {folder.path / 'report.html'}")
    return 1 if failed else 0


if __name__ == "__main__":
    main(sweep)
