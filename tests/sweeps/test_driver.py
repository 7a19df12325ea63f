"""What becomes of jobs, with an engine that only acts as if it trained."""

import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from dlvr_jax import config
from dlvr_jax.errors import InUse, UserError
from dlvr_jax.run import Run
from dlvr_jax.sweeps.driver import FRUITLESS, Driver
from dlvr_jax.sweeps.engines.engine import Ended
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.plan import Base, Job, plan
from dlvr_jax.sweeps.space import points_of, read

SOURCE = config.find("configs/cnn/lenet5_digits.py:tiny")
BASE = Base(SOURCE, config.load(SOURCE), {})
POINTS = points_of(read(dict(grid={"optimizer.learning_rate": (0.1, 0.2)}), "f"))
FINISHED = Ended(0, "")
SUMMARY = {
    **{"step": 16, "metrics": {}, "params_sha256": "", "data": {}, "guarantee": ""},
    **{"seconds": 1.0, "examples": 1, "parameters": 1, "compiled": {}},
}


class Scripted:
    """Ends each training as `ends` says, given how many members it has and how often it was tried."""

    def __init__(self, ends: Callable[[int, int], Ended]) -> None:
        self.ends, self.tries = ends, dict[str, int]()

    def train(self, arguments: Sequence[str], log: Path) -> Ended:
        path = arguments[arguments.index("--workdir") + 1]
        sizes = [text.partition("=")[2] for text in arguments if text.startswith("--config.population.size=")]
        self.tries[path] = self.tries.get(path, 0) + 1
        ended = self.ends(int(*sizes or [1]), self.tries[path])
        if ended == FINISHED:
            Run(Path(path)).write("summary.json", SUMMARY)
        elif ended.said == "got further":
            (Path(path) / "checkpoints" / str(self.tries[path])).mkdir(parents=True)
        return ended

    def stop(self) -> None: ...


def driven(path: Path, ends: Callable[[int, int], Ended], limit: int = 64) -> tuple[SweepFolder, list[Job], Scripted]:
    folder, engine = SweepFolder(path), Scripted(ends)
    jobs = plan(BASE, dict(enumerate(POINTS)), (0, 1), lambda point: limit)
    Driver(folder, BASE, engine, 2, lambda line: None, lambda steps, done: None).run(jobs)
    return folder, jobs, engine


def sizes(folder: SweepFolder, jobs: Sequence[Job], of: Callable[[Run], object]) -> list[int]:
    return [len(job.members) for job in folder.leaves(jobs, BASE) if of(folder.run(job, BASE))]


def test_every_job_is_trained_once_and_not_again(tmp_path: Path) -> None:
    folder, jobs, engine = driven(tmp_path, lambda size, tried: FINISHED, limit=1)
    assert sorted(engine.tries.values()) == [1, 1, 1, 1]
    assert sizes(folder, jobs, Run.summary) == [1, 1, 1, 1]
    assert driven(tmp_path, lambda size, tried: FINISHED, limit=1)[2].tries == {}


def test_one_that_fails_is_noted_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    folder, jobs, _ = driven(tmp_path, lambda size, tried: Ended(1, "step 3 is not finite"), limit=2)
    assert [folder.failure(folder.run(job, BASE)) for job in jobs] == [
        {"format": 1, "reason": "step 3 is not finite", "split": False}
    ] * 2
    assert driven(tmp_path, lambda size, tried: FINISHED, limit=2)[2].tries == {}
    assert folder.forgive() == 2
    assert sizes(*driven(tmp_path, lambda size, tried: FINISHED, limit=2)[:2], Run.summary) == [2, 2]


def test_one_that_runs_out_of_memory_is_split_until_it_fits(tmp_path: Path) -> None:
    folder, jobs, _ = driven(tmp_path, lambda size, tried: FINISHED if size == 1 else Ended(12, "out of memory"))
    assert sizes(folder, jobs, Run.summary) == [1, 1, 1, 1]
    assert folder.forgive() == 0 and sizes(folder, jobs, Run.summary) == [1, 1, 1, 1]  # it stays split


def test_one_that_ends_without_having_come_to_its_rung_is_not_tried_for_ever(tmp_path: Path) -> None:
    folder, engine = SweepFolder(tmp_path), Scripted(lambda size, tried: Ended(0, "it began behind the rung"))
    (job,) = plan(BASE, dict(enumerate(POINTS)), (0, 1), lambda point: 64)
    Driver(folder, BASE, engine, 1, lambda line: None, lambda steps, done: None).run([job], until=8)
    assert list(engine.tries.values()) == [1]
    assert "starts at step 8 or later" in (folder.failure(folder.run(job, BASE)) or {})["reason"]


def test_one_member_that_is_too_large_alone_fails(tmp_path: Path) -> None:
    folder, jobs, _ = driven(tmp_path, lambda size, tried: Ended(12, "out of memory"))
    assert sizes(folder, jobs, folder.failure) == [1, 1, 1, 1]


@pytest.mark.parametrize("code", [-signal.SIGKILL, 128 + signal.SIGTERM])
def test_one_that_is_killed_is_tried_again(tmp_path: Path, code: int) -> None:
    folder, jobs, engine = driven(tmp_path, lambda size, tried: Ended(code, "") if tried < 4 else FINISHED)
    assert list(engine.tries.values()) == [4]
    assert sizes(folder, jobs, Run.summary) == [4]


def test_one_that_gets_further_each_time_may_be_killed_for_ever(tmp_path: Path) -> None:
    times = 3 * FRUITLESS
    folder, jobs, _ = driven(
        tmp_path, lambda size, tried: Ended(-9, "got further") if tried < times else FINISHED, limit=4
    )
    assert sizes(folder, jobs, Run.summary) == [4]


def test_one_that_never_gets_further_is_given_up(tmp_path: Path) -> None:
    folder, jobs, engine = driven(tmp_path, lambda size, tried: Ended(-9, ""), limit=1)
    assert set(engine.tries.values()) == {FRUITLESS}
    assert sizes(folder, jobs, folder.failure) == [1, 1, 1, 1]


def test_one_that_another_process_kept_out_has_not_failed(tmp_path: Path) -> None:
    times = 3 * FRUITLESS
    folder, jobs, engine = driven(tmp_path, lambda size, tried: Ended(InUse.code, "") if tried < times else FINISHED)
    assert list(engine.tries.values()) == [times]
    assert sizes(folder, jobs, Run.summary) == [4]


def test_one_whose_folder_is_in_use_waits_until_it_is_free(tmp_path: Path) -> None:
    (job,) = plan(BASE, dict(enumerate(POINTS)), (0, 1), lambda point: 64)
    held, free = Event(), Event()

    def hold() -> None:
        with SweepFolder(tmp_path).run(job, BASE).locked():
            held.set()
            time.sleep(1)
            free.set()

    with ThreadPoolExecutor() as pool:
        pool.submit(hold)
        assert held.wait(60)
        folder, jobs, _ = driven(tmp_path, lambda size, tried: FINISHED if free.is_set() else Ended(1, "too early"))
    assert sizes(folder, jobs, Run.summary) == [4]


def test_an_engine_that_cannot_go_on_stops_the_other_trainings(tmp_path: Path) -> None:
    stopped = Event()

    class Refusing(Scripted):
        def stop(self) -> None:
            stopped.set()

    def ends(size: int, tried: int) -> Ended:
        if len(engine.tries) > 1:
            raise UserError("no such partition")
        assert stopped.wait(60)
        return Ended(128 + signal.SIGTERM, "")

    engine = Refusing(ends)
    jobs = plan(BASE, dict(enumerate(POINTS)), (0, 1), lambda point: 1)
    with pytest.raises(UserError, match="no such partition"):
        Driver(SweepFolder(tmp_path), BASE, engine, 2, lambda line: None, lambda steps, done: None).run(jobs)
    assert stopped.is_set()


def test_a_plan_that_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    generation = Generation(dict(enumerate(POINTS)), plan(BASE, dict(enumerate(POINTS)), (0, 1), lambda point: 2))
    folder.keep(0, generation)
    assert folder.generation(0) == generation and folder.generation(1) is None
    (kept,) = folder.generations()
    assert [member.settings for job in kept.jobs for member in job.members] == [
        member.settings for job in generation.jobs for member in job.members
    ]
