"""Trains the jobs of a sweep: hands them to an engine, and reads in their folders what became of them.

Nothing is remembered but in the sweep's folder, so a sweep that was killed goes on by the same command: what is
finished is read, what was begun resumes from its checkpoints, and no job is done twice.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

from dlvr_jax.errors import OutOfMemory, UserError
from dlvr_jax.run import Run
from dlvr_jax.sweeps.engines.engine import Engine
from dlvr_jax.sweeps.folder import SweepFolder
from dlvr_jax.sweeps.plan import Base, Job
from dlvr_jax.training.checkpoint import steps
from dlvr_jax.training.loop import Stopped
from dlvr_jax.training.signals import interruptible

FRUITLESS = 10  # times that a job may be killed without having got further
PAUSE = 0.5  # seconds between two looks


@dataclass(frozen=True)
class Driver:
    """What the jobs of a sweep are trained with."""

    folder: SweepFolder
    base: Base
    engine: Engine
    workers: int
    tell: Callable[[str], None]  # a line for each job that ends
    stopping: Event = field(default_factory=Event)

    def run(self, jobs: Sequence[Job]) -> None:
        """Trains all jobs, until each has finished or failed.

        Raises:
            Stopped: a signal asked for it; the trainings have saved their states.
        """
        futures: dict[Future[None], Job] = {}
        with interruptible() as interrupt, ThreadPoolExecutor(self.workers) as pool:
            futures |= {pool.submit(self._train, job): job for job in self._to_do(jobs)}
            while futures:
                done, _ = wait(futures, PAUSE, FIRST_COMPLETED)
                if interrupt.signal is not None:
                    self.stopping.set()
                    self.engine.stop()
                    pool.shutdown(cancel_futures=True)
                    raise Stopped(interrupt.signal, 0)
                for future in done:
                    job = futures.pop(future)
                    future.result()
                    self.tell(self._outcome(job))
                    futures |= {pool.submit(self._train, half): half for half in self._to_do([job])}

    def _to_do(self, jobs: Sequence[Job]) -> Iterator[Job]:
        for job in self.folder.leaves(jobs, self.base):
            run = self.folder.run(job, self.base)
            if run.summary() is None and self.folder.failure(run) is None:
                yield job

    def _train(self, job: Job) -> None:
        """One job, as often as its process is killed from outside and had got further than the time before."""
        run, fruitless = self.folder.run(job, self.base), 0
        origin = [] if job.origin is None else ["--from", str(job.origin)]
        arguments = [*self.base.arguments(job.flags), "--workdir", str(run.path), *origin]
        while not self.stopping.is_set():
            _wait_until_free(run)
            before = _progress(run)
            ended = self.engine.train(arguments, self.folder.log(run))
            if ended.code == 0:
                return
            fruitless = 0 if _progress(run) > before else fruitless + 1
            if not ended.killed:
                self.folder.fail(run, ended.said, ended.code == OutOfMemory.code)
                return
            if fruitless == FRUITLESS:
                reason = f"killed {FRUITLESS} times without getting further: {ended.said}; is there too little memory?"
                self.folder.fail(run, reason, True)
                return

    def _outcome(self, job: Job) -> str:
        run, count = self.folder.run(job, self.base), len(job.members)
        failure = self.folder.failure(run)
        how = "finished" if failure is None else f"failed: {failure['reason']}"
        return f"{run.path.name}: {count} member{'s' if count > 1 else ''} {how}"


def _wait_until_free(run: Run) -> None:
    """A training whose driver was killed goes on: it is left to end."""
    while True:
        try:
            with run.locked():
                return
        except UserError:
            time.sleep(PAUSE)


def _progress(run: Run) -> int:
    """The step that a resumption would go on from."""
    return max(steps(run.checkpoints), default=0)
