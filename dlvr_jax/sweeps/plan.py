"""Points to few programs: members whose training steps are one program are trained as one population."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlvr_jax import check, config
from dlvr_jax.check import Flat, hyper_keys
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start
from dlvr_jax.sections import VARY
from dlvr_jax.sweeps.space import Settings, as_text

FROM = "from"  # the key that names what a point starts from


@dataclass(frozen=True)
class Base:
    """What all points share: a config file with its values, and the flags given to the whole sweep."""

    source: config.Source
    values: Mapping[str, Any]
    flags: Settings

    def complete(self, flags: Settings) -> check.Complete:
        """The config of a point, or of the members of a job."""
        return check.complete(self.values, self.flags | flags)

    @property
    def record(self) -> dict[str, Any]:
        """For the sweep's folder."""
        return {"config": str(self.source), "values": dict(self.values), "flags": self.flags}

    def arguments(self, flags: Settings) -> tuple[str, ...]:
        """What `train` is given for it."""
        source = f"{self.source.file}:{self.source.argument}".removesuffix(":")
        return (source, *(f"--config.{key}={text}" for key, text in (self.flags | flags).items()))


@dataclass(frozen=True)
class Member:
    """One training of a sweep: a point with one of its seeds."""

    point: int
    seed: int
    settings: Settings = field(compare=False)  # of everything that varies, as far as this point has it


@dataclass(frozen=True)
class Job:
    """Members that are trained as one program, in one run folder."""

    members: tuple[Member, ...]

    @property
    def shared(self) -> Settings:
        """The settings that are the same for all members."""
        first = without_origin(self.members[0].settings)
        return {key: text for key, text in first.items() if all(m.settings[key] == text for m in self.members)}

    @property
    def flags(self) -> Settings:
        """What `train` is given beside the config file: what members share once, what differs as lists."""
        if len(self.members) == 1:
            return self.shared | {"seed": str(self.members[0].seed)}
        differ = [key for key in without_origin(self.members[0].settings) if key not in self.shared]
        varied = {VARY + key: _listed([member.settings[key] for member in self.members]) for key in differ}
        seeds = _listed([str(member.seed) for member in self.members])
        return self.shared | varied | {"population.size": str(len(self.members)), "population.seeds": seeds}

    @property
    def origin(self) -> Path | None:
        """The run that it starts from."""
        path = self.members[0].settings.get(FROM)
        return None if path is None else Path(path)

    def halves(self) -> tuple["Job", "Job"]:
        """The same members in two programs."""
        middle = len(self.members) // 2
        return Job(self.members[:middle]), Job(self.members[middle:])

    def start(self, base: Base, folder: Path) -> Start:
        """What its training starts from, in `folder/<fingerprint>`."""
        start = Start(base.source, base.complete(self.flags), origin=self.origin)
        return dataclasses.replace(start, workdir=folder / start.fingerprint[:12])


def plan(
    base: Base, points: Mapping[int, Settings], seeds: Sequence[int], limit: Callable[[Settings], int]
) -> list[Job]:
    """All members of these points, by their numbers, in as few jobs as can be, in the order of their first members.

    `limit` says of a point how many members a program of it may have.

    Raises:
        UserError: a config of a point is wrong; the faults of all points, each once.
    """
    flats = _completed(base, list(points.values()))
    keys = list(dict.fromkeys(key for point in points.values() for key in point))
    groups: dict[str, list[Member]] = {}
    one_of: dict[str, Settings] = {}
    for (number, point), flat in zip(points.items(), flats, strict=True):
        whole = {key: as_text({key: flat[key]})[key] for key in keys if key in flat}
        origin = {key: text for key, text in point.items() if key == FROM and text != "none"}
        program = _program(flat) + origin.get(FROM, "")
        one_of.setdefault(program, point)
        groups.setdefault(program, []).extend(Member(number, seed, whole | origin) for seed in seeds)
    jobs = []
    for program, members in groups.items():
        jobs += [Job(tuple(part)) for part in _parts(members, limit(one_of[program]))]
    return jobs


def without_origin(point: Settings) -> Settings:
    """The settings of config keys alone."""
    return {key: text for key, text in point.items() if key != FROM}


def _completed(base: Base, points: Sequence[Settings]) -> list[Flat]:
    found: list[Flat] = []
    faults: list[str] = []
    for point in points:
        try:
            found.append(base.complete(without_origin(point)).flat)
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*dict.fromkeys(faults))
    return found


def _program(flat: Flat) -> str:
    """What decides the operations of a training: all but the seed and the values of hyper."""
    hyper = set(hyper_keys(flat))
    kept = {key: value for key, value in flat.items() if key != "seed" and key not in hyper}
    return config.fingerprint({**kept, "absent": sorted(key for key in hyper if flat[key] is None)})


def _parts(members: Sequence[Member], most: int) -> list[Sequence[Member]]:
    """As few parts as can be of at most so many members, as equal as can be."""
    count = -(-len(members) // most)
    ends = [len(members) * part // count for part in range(count + 1)]
    return [members[start:end] for start, end in itertools.pairwise(ends)]


def _listed(texts: Sequence[str]) -> str:
    return f"({', '.join(texts)},)"
