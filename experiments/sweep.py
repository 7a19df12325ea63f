"""`./launch.sh sweep CONFIG [--workdir DIR] [--sweep FILE] [--workers N] [--launcher NAME] [--dry-run]`.

Trains everything that a config varies, and compares it.

What varies is said by `get_sweep` in the config file, or in FILE. Points whose programs are the same are trained as
one population. The same command goes on where a sweep was stopped; `--retry failed` tries failed points again.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from dlvr_jax import config
from dlvr_jax.atomic_write import write_text
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.readable import duration
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.sweeps.collect import Judge, judge_of, places, points
from dlvr_jax.sweeps.driver import Driver
from dlvr_jax.sweeps.engines.engine import Engine
from dlvr_jax.sweeps.engines.local import Local
from dlvr_jax.sweeps.estimate import estimate, most_members
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.generations import first_jobs, generations
from dlvr_jax.sweeps.plan import Base, without_origin
from dlvr_jax.sweeps.report import write_report
from dlvr_jax.sweeps.space import Settings, Sweep, read
from dlvr_jax.training.loop import Stopped
from experiments.command import arguments, main

LAUNCHERS = ("local", "slurm")


def sweep(argv: Sequence[str]) -> int:
    """One sweep, from plan to comparison; the exit code is not 0 where a signal stopped it or something failed."""
    parser = arguments("sweep", "Train everything that a config's get_sweep varies, and compare it.")
    parser.add_argument("config", metavar="CONFIG", help="configs/FAMILY/NAME.py, or with an argument NAME.py:tiny")
    parser.add_argument("--workdir", type=Path, help="the sweep's folder (default: runs/sweeps/NAME-FINGERPRINT)")
    parser.add_argument("--sweep", metavar="FILE", help="the file with get_sweep (default: CONFIG)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="programs at once (default: 1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the points as JSON there too")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="local", help="where programs run (default: local)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--retry", choices=("failed",), help="try again what failed")
    known, rest = parser.parse_known_args(argv)
    options = [flag for flag in rest if known.launcher == "slurm" and flag.startswith("--slurm.")]
    if known.workers < 1:
        raise UserError(f"--workers {known.workers}: must be at least 1")
    jax.config.update("jax_platforms", "cpu")  # of this process, which only looks at shapes: devices are for trainings
    source = config.find(known.config)
    base = Base(source, config.load(source), config.flags([flag for flag in rest if flag not in options]))
    wanted = _wanted(source if known.sweep is None else config.find(known.sweep), base)
    judge = judge_of(base, wanted)
    record = {"command": shlex.join(["./launch.sh", "sweep", *argv]), **base.record, "sweep": vars(wanted)}
    folder = SweepFolder.named(known.workdir, source.name, record)
    if known.dry_run:
        _print_plan(base, next(_generations(folder, base, wanted, judge)))
        return 0
    with folder.locked():
        folder.begin(record)
        if known.retry:
            print(f"trying {folder.forgive()} failed programs again", file=sys.stderr)
        try:
            engine = _engine(known.launcher, known.workers, options)
            _train(folder, base, wanted, judge, engine, known.workers)
        except Stopped as stopped:
            print("stopped: the trainings have saved their states; the same command goes on", file=sys.stderr)
            return 128 + (stopped.signal or 0)
        code = _tell(folder, base, wanted, judge)
        if known.out is not None:
            write_text(known.out, (folder.path / "points.json").read_text(encoding="utf-8"))
            print(f"points  {known.out}")
        return code


def _wanted(source: config.Source, base: Base) -> Sweep:
    """What varies; a flag may not set it as well."""
    wanted = read(config.call(source, "get_sweep"), str(source))
    if "seed" in base.flags or "seed" in wanted.keys:
        raise UserError("seed: the seeds of a sweep are the field seeds of its get_sweep")
    if both := [key for key in wanted.keys if key in base.flags]:
        raise UserError(*(f"--config.{key}: the sweep varies this key; leave one of them out" for key in both))
    return wanted


def _engine(launcher: str, workers: int, options: Sequence[str]) -> Engine:
    """What trains; Slurm's parts are imported only where they are asked for."""
    if launcher == "slurm":
        from dlvr_jax.sweeps.engines.slurm import Slurm

        return Slurm(options)
    return Local(workers)


def _train(folder: SweepFolder, base: Base, wanted: Sweep, judge: Judge, engine: Engine, workers: int) -> None:
    for own, job in first_jobs(folder, wanted):
        Driver(folder, own, engine, workers, _say).run([job])
    for number, generation in enumerate(_generations(folder, base, wanted, judge)):
        if folder.generation(number) is None:
            _print_plan(base, generation)
            folder.keep(number, generation)
        left = places(folder, base, before=number) if wanted.rungs else {}
        Driver(folder, base, engine, workers, _say).run(generation.jobs, generation.until, left)
        if folder.generation(number + 1) is None:
            write_report(folder, base, wanted, judge)


def _generations(folder: SweepFolder, base: Base, wanted: Sweep, judge: Judge) -> Iterator[Generation]:
    def limit(point: Settings) -> int:
        return wanted.members or most_members(estimate(base.arguments(without_origin(point))))

    return generations(folder, base, wanted, judge, limit)


def _print_plan(base: Base, generation: Generation) -> None:
    """A row for each program: its members, what they share, what it takes."""
    rows, total = [], 0.0
    for number, job in enumerate(generation.jobs):
        cost = estimate(base.arguments(without_origin(job.members[0].settings)))
        seconds = cost.seconds_per_step * cost.steps * len(job.members)
        memory = cost.shared_bytes + cost.member_bytes * len(job.members)
        shared = ", ".join(f"{key}={text}" for key, text in job.shared.items()) or "-"
        rows.append((str(number), str(len(job.members)), f"{memory / 2**20:,.0f} MiB", duration(seconds), shared))
        total += seconds
    print_table(("program", "members", "memory", "time", "what its members share"), rows, right=("members",))
    members = sum(len(job.members) for job in generation.jobs)
    print(
        f"{len(generation.points)} points, {members} trainings, {len(rows)} programs; one training after the other "
        f"about {duration(total)}, without evaluations"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell(folder: SweepFolder, base: Base, wanted: Sweep, judge: Judge) -> int:
    """The points, by value; 1 where something failed."""
    found = points(folder, base, judge)
    header = (*wanted.keys, f"validation/{judge.metric}", f"test/{judge.metric}", "seeds")
    rows = [
        (
            *(point.settings.get(key, "-") for key in wanted.keys),
            str(point.value or point.ended),
            str(point.test(judge.metric) or "-"),
            str(len(point.sound)),
        )
        for point in found
    ]
    print_table(header, rows)
    failed = {row.run: row.failed for point in found for row in point.rows if row.failed}
    for run, reason in failed.items():
        print(f"failed: {folder.path / 'runs' / run}: {reason}", file=sys.stderr)
    print(f"sweep   {folder.path}")
    print(f"report  {folder.path / 'report.html'}")
    return 1 if failed else 0


if __name__ == "__main__":
    main(sweep)
