"""What a sweep prints: its plan before, its points after."""

from collections.abc import Sequence

from dlvr_jax.reporting.readable import duration
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.sweeps.collect import Judge, Point
from dlvr_jax.sweeps.estimate import estimate
from dlvr_jax.sweeps.folder import Generation
from dlvr_jax.sweeps.plan import FROM, Base, without_origin
from dlvr_jax.sweeps.space import Sweep


def print_plan(base: Base, generation: Generation) -> None:
    """A row for each program: its members, what they share, what it takes."""
    rows, total = [], 0.0
    for number, job in enumerate(generation.jobs):
        cost = estimate(base.arguments(without_origin(job.members[0].settings)))
        seconds = cost.seconds_per_step * (generation.until or cost.steps) * len(job.members)
        memory = cost.shared_bytes + cost.member_bytes * len(job.members)
        settings = job.shared if job.origin is None else {FROM: str(job.origin), **job.shared}
        shared = ", ".join(f"{key}={text}" for key, text in settings.items()) or "-"
        rows.append((str(number), str(len(job.members)), f"{memory / 2**20:,.0f} MiB", duration(seconds), shared))
        total += seconds
    print_table(("program", "members", "memory", "time", "what its members share"), rows, right=("members",))
    members = [member for job in generation.jobs for member in job.members]
    points = {member.point for member in members}
    print(
        f"points: {len(points)}, trainings: {len(members)}, programs: {len(rows)}; one training after the other "
        f"about {duration(total)}, without compiling and evaluations"
    )


def print_points(found: Sequence[Point], wanted: Sweep, judge: Judge) -> None:
    """A row for each point: its settings, its values over the seeds."""
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
