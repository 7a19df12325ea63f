"""What a sweep does next: points, and the jobs that train them. A sweep that is no search has one generation."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dlvr_jax import config
from dlvr_jax.errors import UserError
from dlvr_jax.run import Run
from dlvr_jax.sweeps.collect import Judge, judged
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.plan import FROM, Base, Job, Member, plan
from dlvr_jax.sweeps.search import Search
from dlvr_jax.sweeps.space import Settings, Sweep, as_text, points_of


def generations(
    folder: SweepFolder, base: Base, sweep: Sweep, judge: Judge, limit: Callable[[Settings], int]
) -> Iterator[Generation]:
    """Each generation, as it was planned before or is planned now; it must be trained before the next is asked for.

    `limit`: see `plan`.
    """
    numbers = itertools.count()

    def planned(points: Mapping[int, Settings], new: bool, until: int | None) -> Generation:
        known = folder.generation(next(numbers))
        settled = {number: _settled(folder, point) for number, point in points.items()}
        return known or Generation(settled if new else {}, plan(base, settled, sweep.seeds, limit), until)

    if not sweep.search:
        yield planned(dict(enumerate(points_of(sweep))), True, None)
        return
    search = Search(sweep, judge.direction)
    for first in range(0, sweep.trials, sweep.generation):
        alive = search.ask(min(sweep.generation, sweep.trials - first))
        for place, rung in enumerate((*sweep.rungs, None)):
            generation = planned(alive, place == 0, rung)
            yield generation
            values = judged(folder, base, generation, judge)
            search.tell({number: None for number in alive if number not in values})
            ended = [] if rung is None else search.prune(rung, values)
            alive = {number: alive[number] for number in values if number not in ended}
            if not alive:
                break
        search.tell({number: values[number] for number in alive})


def first_jobs(folder: SweepFolder, sweep: Sweep) -> list[tuple[Base, Job]]:
    """The trainings that points start from and that are no runs yet: of the configs that "from" names."""
    named = [point[FROM] for point in sweep.points if FROM in point]
    named += [*sweep.grid.get(FROM, ()), *sweep.search.get(FROM, {}).get("choice", ())]
    texts = dict.fromkeys(as_text({FROM: one})[FROM] for one in named)
    return [_first_job(text) for text in texts if text != "none" and not Run(Path(text)).exists()]


def _first_job(text: str) -> tuple[Base, Job]:
    try:
        source = config.find(text)
    except UserError as error:
        raise UserError(f"get_sweep: from = {text}: is neither a run's folder nor a config ({error})") from None
    base = Base(source, config.load(source), {})
    return base, Job((Member(0, base.complete({}).flat["seed"], {}),))


def _settled(folder: SweepFolder, point: Settings) -> Settings:
    """The point with the run folder in the place of what "from" names."""
    if point.get(FROM, "none") == "none":
        return {key: text for key, text in point.items() if key != FROM}
    run = Run(Path(point[FROM]))
    if not run.exists():
        base, job = _first_job(point[FROM])
        run = folder.run(job, base)
    return point | {FROM: str(run.path.resolve())}
