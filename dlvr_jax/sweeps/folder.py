"""A sweep's folder: what is to be done, and what became of each job. It is the only memory of a sweep.

sweep.json       the base config, what varies, the flags; made once
plan-000.json    the jobs of a generation of points, or of those that go on at a rung (one where nothing is searched)
runs/            a run folder for each job, named by its config's fingerprint
failed/          why a job failed, by the name of its run folder
logs/            what each job printed
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlvr_jax import config
from dlvr_jax.atomic_write import write_text
from dlvr_jax.errors import UserError
from dlvr_jax.run import Run
from dlvr_jax.sweeps.plan import Base, Job, Member
from dlvr_jax.sweeps.space import Settings

FORMAT = 1


@dataclass(frozen=True)
class Generation:
    """Points that were asked for together, and the jobs that train them; or, at a rung, those of them that go on."""

    points: dict[int, Settings]  # new ones, by their numbers
    jobs: list[Job]
    until: int | None = None  # the step at which its trainings pause, to be compared


@dataclass(frozen=True)
class SweepFolder:
    """Reading raises UserError where a file is damaged, with its path."""

    path: Path

    @classmethod
    def named(cls, path: Path | None, name: str, record: Mapping[str, Any]) -> "SweepFolder":
        """That of a path, or one named by all that the sweep is, so that the same command finds it again."""
        fingerprint = config.fingerprint(json.loads(json.dumps(_what(record))))
        return cls((path or Path("runs") / "sweeps" / f"{name}-{fingerprint[:8]}").absolute())

    def record(self) -> dict[str, Any]:
        """`sweep.json`: format, command, config, values, flags, sweep."""
        return self._read("sweep.json")

    def begin(self, record: Mapping[str, Any]) -> None:
        """Writes `sweep.json`, where there is none.

        Raises:
            UserError: the folder holds another sweep, or something else.
        """
        if not (self.path / "sweep.json").exists():
            if [entry.name for entry in self.path.iterdir() if entry.name[0] != "."]:
                raise UserError(f"{self.path} is not empty and holds no sweep; choose another --workdir")
            self._write("sweep.json", record)
            return
        there, here = (config.flatten(_what(each)) for each in (self.record(), json.loads(json.dumps(record))))
        for key in sorted(here.keys() | there.keys()):
            if here.get(key) != there.get(key):
                raise UserError(
                    f"{self.path} holds another sweep: {key} is {there.get(key)!r} there, {here.get(key)!r} here; "
                    "choose another --workdir"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the folder for this process.

        Raises:
            UserError: another process works on this sweep.
        """
        with Run(self.path).locked():
            yield

    def generation(self, number: int) -> Generation | None:
        """The plan of a generation, None before it is made."""
        name = f"plan-{number:03d}.json"
        if not (self.path / name).exists():
            return None
        kept = self._read(name)
        jobs = [Job(tuple(Member(**member) for member in job)) for job in kept["jobs"]]
        return Generation({int(number): point for number, point in kept["points"].items()}, jobs, kept["until"])

    def generations(self) -> Iterator[Generation]:
        """All that are planned."""
        number = 0
        while (found := self.generation(number)) is not None:
            yield found
            number += 1

    def keep(self, number: int, generation: Generation) -> None:
        """Writes the plan of a generation."""
        jobs = [[vars(member) for member in job.members] for job in generation.jobs]
        kept = {"points": generation.points, "until": generation.until, "jobs": jobs}
        self._write(f"plan-{number:03d}.json", kept)

    def run(self, job: Job, base: Base) -> Run:
        """The run folder of a job."""
        return Run(job.start(base, self.path / "runs").folder)

    def failure(self, run: Run) -> dict[str, Any] | None:
        """Why a job failed: "reason"; and whether it is "split" therefore. None if it did not."""
        name = f"failed/{run.path.name}.json"
        return self._read(name) if (self.path / name).exists() else None

    def fail(self, run: Run, job: Job, reason: str, out_of_memory: bool) -> None:
        """Notes that a job failed, or is split where it can be, if it ran out of memory."""
        split = out_of_memory and len(job.members) > 1
        self._write(f"failed/{run.path.name}.json", {"reason": reason, "split": split})

    def forgive(self) -> int:
        """Forgets all failures, so that these jobs are tried again; returns how many. What is split stays so."""
        names = [f"failed/{path.name}" for path in (self.path / "failed").glob("*.json")]
        failed = [name for name in names if not self._read(name)["split"]]
        for name in failed:
            (self.path / name).unlink()
        return len(failed)

    def log(self, run: Run) -> Path:
        """What the job's trainings print."""
        folder = self.path / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{run.path.name}.log"

    def leaves(self, jobs: Sequence[Job], base: Base) -> Iterator[Job]:
        """The jobs as they are now: one that ran out of memory is replaced by its halves."""
        for job in jobs:
            failure = self.failure(self.run(job, base))
            if failure is not None and failure["split"]:
                yield from self.leaves(job.halves(), base)
            else:
                yield job

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps({"format": FORMAT, **content}, indent=1) + "\n")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}; restore it or begin the sweep anew elsewhere") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(f"{path} is not of format {FORMAT}: it was written by another version, or damaged")
        return content


def _what(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is swept, without the command that said so."""
    return {key: record[key] for key in ("config", "values", "flags", "sweep")}
