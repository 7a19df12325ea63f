"""Trains the jobs of a sweep: hands them to an engine, and reads in their folders what became of them.

Nothing is remembered but in the sweep's folder, so a sweep that was killed goes on by the same command: what is
finished is read, what was begun resumes from its checkpoints, and no job is done twice.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock

from dlvr_jax.errors import InUse, OutOfMemory
from dlvr_jax.extract import Place, gather
from dlvr_jax.run import Run
from dlvr_jax.sweeps.engines.engine import Engine
from dlvr_jax.sweeps.folder import SweepFolder
from dlvr_jax.sweeps.plan import Base, Job, Member
from dlvr_jax.training.checkpoint import steps
from dlvr_jax.training.loop import Stopped
from dlvr_jax.training.signals import interruptible

FRUITLESS = 10  # times that a job may be killed without having got further
PAUSE = 0.5  # seconds between two looks
TAIL = 65_536  # bytes, more than the last line of metrics has


@dataclass(frozen=True)
class Driver:
    """What the jobs of a sweep are trained with."""

    folder: SweepFolder
    base: Base
    engine: Engine
    workers: int
    tell: Callable[[str], None]  # a line for each job that ends
    watch: Callable[[int, int], None]  # twice a second: steps done over all members, members that are done
    stopping: Event = field(default_factory=Event)
    gathering: Lock = field(default_factory=Lock)

    def run(self, jobs: Sequence[Job], until: int | None = None, places: Mapping[Member, Place] | None = None) -> None:
        """Trains all jobs, until each has finished or failed, or has reached the step `until`.

        `places` says of members that go on where they were left.

        Raises:
            Stopped: a signal asked for it; the trainings have saved their states.
            UserError: the engine cannot go on; the trainings have saved their states.
        """
        futures: dict[Future[None], Job] = {}
        train = partial(self._train, until=until, places=places or {})
        with interruptible() as interrupt, ThreadPoolExecutor(self.workers) as pool:
            futures |= {pool.submit(train, job): job for job in self._to_do(jobs, until)}
            runs = self._runs(jobs)
            while futures:
                done, _ = wait(futures, PAUSE, FIRST_COMPLETED)
                self.watch(*_sums(runs))
                if interrupt.signal is not None:
                    self._stop(pool)
                    raise Stopped(interrupt.signal, 0)
                for future in done:
                    job = futures.pop(future)
                    if (error := future.exception()) is not None:
                        self._stop(pool)
                        raise error
                    self.tell(self._outcome(job))
                    futures |= {pool.submit(train, half): half for half in self._to_do([job], until)}
                    runs = self._runs(jobs)
            self.watch(*_sums(runs))

    def _runs(self, jobs: Sequence[Job]) -> list[tuple[Run, int]]:
        """Of each job as it is now, with how many members it has."""
        return [(self.folder.run(job, self.base), len(job.members)) for job in self.folder.leaves(jobs, self.base)]

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        self.stopping.set()
        self.engine.stop()
        pool.shutdown(cancel_futures=True)

    def _to_do(self, jobs: Sequence[Job], until: int | None) -> Iterator[Job]:
        for job in self.folder.leaves(jobs, self.base):
            run = self.folder.run(job, self.base)
            there = until is not None and _progress(run) >= until
            if run.summary() is None and self.folder.failure(run) is None and not there:
                yield job

    def _train(self, job: Job, until: int | None, places: Mapping[Member, Place]) -> None:
        """One job, as often as its process is killed from outside and had got further than the time before.

        A training whose driver was killed goes on: it is left to end, and may keep one that was started meanwhile out.
        """
        run, fruitless = self.folder.run(job, self.base), 0
        arguments = [*self.base.arguments(job.flags), "--workdir", str(run.path)]
        arguments += [] if job.origin is None else ["--from", str(job.origin)]
        arguments += [] if until is None else ["--until", str(until)]
        while not self.stopping.is_set():
            if _in_use(run):
                self.stopping.wait(PAUSE)
                continue
            self._gather(job, run, places)
            before = _progress(run)
            ended = self.engine.train(arguments, self.folder.log(run))
            if ended.code == 0:
                if until is not None and run.summary() is None and _progress(run) < until:
                    self.folder.fail(run, job, f"it starts at step {until} or later, where it was to pause", False)
                return
            if ended.code == InUse.code:
                continue
            fruitless = 0 if _progress(run) > before else fruitless + 1
            if not ended.killed:
                self.folder.fail(run, job, ended.said, ended.code == OutOfMemory.code)
                return
            if fruitless == FRUITLESS:
                reason = f"killed {FRUITLESS} times without getting further: {ended.said}; is there too little memory?"
                self.folder.fail(run, job, reason, True)
                return

    def _gather(self, job: Job, run: Run, places: Mapping[Member, Place]) -> None:
        """Members that go on together, out of the runs that they have been in; one job after the other."""
        if run.exists() or not all(member in places for member in job.members):
            return
        with self.gathering:
            shutil.rmtree(run.path)  # what a driver that was killed here has left
            gather([places[member] for member in job.members], job.start(self.base, run.path.parent))

    def _outcome(self, job: Job) -> str:
        run, count = self.folder.run(job, self.base), len(job.members)
        failure = self.folder.failure(run)
        how = ("finished" if run.summary() else "paused") if failure is None else f"failed: {failure['reason']}"
        return f"{run.path.name}: {count} member{'s' if count > 1 else ''} {how}"


def _in_use(run: Run) -> bool:
    """Whether a process trains there."""
    try:
        with run.locked():
            return False
    except InUse:
        return True


def _progress(run: Run) -> int:
    """The step that a resumption would go on from."""
    return max(steps(run.checkpoints), default=0)


def _sums(runs: Sequence[tuple[Run, int]]) -> tuple[int, int]:
    """Steps done over all members, and how many members are done."""
    steps = sum(_logged(run) * members for run, members in runs)
    return steps, sum(members for run, members in runs if (run.path / "summary.json").exists())


def _logged(run: Run) -> int:
    """The last step that it has logged, from the end of the file."""
    try:
        with (run.path / "metrics.jsonl").open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
            whole = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        return int(json.loads(whole)["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
