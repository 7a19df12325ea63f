"""The sections of a config that every family shares. Fields are the schema; floats are hyper (see `schema.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from dlvr_jax.schema import Between, Count

Strategy = Literal["vmap", "map", "unroll"]  # how the members of a population are computed: see training/population.py
VARY = "population.vary."  # before a hyper's key: its values, one for each member; only where they are given


@dataclass(frozen=True)
class DataSection:
    """`config.data` without the arguments of the data set that it names."""

    name: str
    seed: Annotated[int | None, Between(0, 2**32 - 1)] = None  # of the order; None: the run's seed
    order: Literal["shuffled", "streams"] = "shuffled"  # streams: each row walks a stretch of its own, for carries
    backing: Literal["auto", "resident", "stream"] = "auto"  # whole set on the device, or read as needed


@dataclass(frozen=True)
class TrainSection:
    """`config.train`. A step is one update; every cadence is in steps."""

    steps: Annotated[int | None, Between(1, None)] = None  # exactly one of steps and epochs
    epochs: Annotated[int | None, Between(1, None)] = None
    batch_size: Count = 128  # examples an update, over all micro-batches and devices
    log_every: Count = 50
    eval_every: Count = 200
    checkpoint_every: Count = 200
    keep: Count = 3  # checkpoints
    precision: Literal["float32", "bfloat16"] = "float32"  # of the arithmetic; parameters are float32
    ema: Annotated[float | None, Between(0, 1)] = None  # decay of the averaged parameters that evaluation uses
    accumulate: Count = 1  # micro-batches an update; batch statistics are per micro-batch
    steps_per_call: Count = 1  # steps in one compiled program
    length_buckets: Annotated[int | None, Between(1, 4)] = None  # batches of texts of like length, cut to it
    early_stopping: Annotated[int | None, Between(1, None)] = None  # evaluations without a better `eval.best`


@dataclass(frozen=True)
class EvalSection:
    """`config.eval`."""

    batch_size: Count = 500
    best: str | None = None  # validation metric whose best state is kept, and tested; None: the last state
    sample_every: Annotated[int | None, Between(1, None)] = None  # steps between samples (or predictions) in the report


@dataclass(frozen=True)
class PopulationSection:
    """`config.population`: several trainings as one program. What they differ in beside seeds: see VARY."""

    size: Count = 1  # members; 1 is a run alone
    seeds: tuple[Annotated[int, Between(0, 2**32 - 1)], ...] | None = None  # of each; None: seed, seed + 1, ...
    strategy: Literal["auto", Strategy] = "auto"  # auto: the fastest, measured


@dataclass(frozen=True)
class MeshSection:
    """`config.mesh`: data times fsdp devices share the batch; or data devices the members of a population."""

    data: Count | None = 1  # None: of a run alone one, or as many as there are, as is quicker by a short measurement
    fsdp: Count = 1  # devices among which parameters, averages and optimiser state are shared out


def seeds_of(flat: Mapping[str, Any]) -> tuple[int, ...]:
    """Of each member; of a run alone its own."""
    given = flat.get("population.seeds")
    return tuple(given or ((flat["seed"] + k) % 2**32 for k in range(flat.get("population.size", 1))))


def varied_of(flat: Mapping[str, Any], k: int) -> dict[str, float | None]:
    """The hyper in which members differ, of one of them."""
    return {key.removeprefix(VARY): values[k] for key, values in flat.items() if key.startswith(VARY)}


def alone_of(flat: Mapping[str, Any], k: int) -> dict[str, Any]:
    """A member's config as if it trained alone. The mesh was for sharing out the members."""
    shared = {key: value for key, value in flat.items() if not key.startswith(("population.", "mesh."))}
    return shared | varied_of(flat, k) | {"seed": seeds_of(flat)[k]}


def devices_of(flat: Mapping[str, Any]) -> int:
    """How many devices a config asks for; where it leaves that open, at least."""
    return int((flat["mesh.data"] or 1) * flat["mesh.fsdp"])


def leaves_devices_open(flat: Mapping[str, Any]) -> bool:
    """Whether it is to be measured how many devices share the batch of a run alone."""
    return flat["mesh.data"] is None and flat["mesh.fsdp"] == 1 and flat["population.size"] == 1
