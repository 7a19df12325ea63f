"""What a sweep does next: points, and the jobs that train them. A sweep that is no search has one generation."""

from collections.abc import Callable, Iterator
from pathlib import Path

from dlvr_jax import config
from dlvr_jax.run import Run
from dlvr_jax.sweeps.collect import Judge, points
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.plan import FROM, Base, Job, Member, plan
from dlvr_jax.sweeps.search import Search
from dlvr_jax.sweeps.space import Settings, Sweep, as_text, points_of


def generations(
    folder: SweepFolder, base: Base, sweep: Sweep, judge: Judge, limit: Callable[[Settings], int]
) -> Iterator[Generation]:
    """Each generation, as it was planned before or is planned now; a search goes on when the one before is trained.

    `limit`: see `plan`.
    """
    if not sweep.search:
        yield _generation(folder, base, sweep, points_of(sweep), limit, 0, 0)
        return
    search = Search(sweep, judge.direction)
    for number, first in enumerate(range(0, sweep.trials, sweep.generation)):
        asked = search.ask(min(sweep.generation, sweep.trials - first))
        yield _generation(folder, base, sweep, asked, limit, number, first)
        values = [point.value for point in points(folder, base, judge)[first:]]
        search.tell([None if value is None else value.mean for value in values])


def first_jobs(folder: SweepFolder, sweep: Sweep) -> list[tuple[Base, Job]]:
    """The trainings that points start from and that are no runs yet: of the configs that "from" names."""
    named = [point[FROM] for point in sweep.points if FROM in point]
    named += [*sweep.grid.get(FROM, ()), *sweep.search.get(FROM, {}).get("choice", ())]
    texts = dict.fromkeys(as_text({FROM: one})[FROM] for one in named)
    return [_first_job(text) for text in texts if text != "none" and not Run(Path(text)).exists()]


def _first_job(text: str) -> tuple[Base, Job]:
    source = config.find(text)
    base = Base(source, config.load(source), {})
    return base, Job((Member(0, base.complete({}).flat["seed"], {}),))


def _generation(
    folder: SweepFolder,
    base: Base,
    sweep: Sweep,
    asked: list[Settings],
    limit: Callable[[Settings], int],
    number: int,
    first: int,
) -> Generation:
    """As the folder has it, else planned now."""
    known = folder.generation(number)
    settled = [_settled(folder, point) for point in asked]
    return known or Generation(settled, plan(base, settled, sweep.seeds, limit, first))


def _settled(folder: SweepFolder, point: Settings) -> Settings:
    """The point with the run folder in the place of what "from" names."""
    if point.get(FROM, "none") == "none":
        return {key: text for key, text in point.items() if key != FROM}
    run = Run(Path(point[FROM]))
    if not run.exists():
        base, job = _first_job(point[FROM])
        run = folder.run(job, base)
    return point | {FROM: str(run.path.resolve())}
