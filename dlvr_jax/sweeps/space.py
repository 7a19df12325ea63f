"""What a sweep varies: the points to train, or a space to search them in; and the seeds of each point.

A config file says it beside its `get_config`, as a plain dictionary of `Sweep`'s fields by dotted config keys:

    def get_sweep(arg: str = "") -> dict:
        return dict(seeds=(0, 1, 2), grid={"optimizer.learning_rate": (1e-3, 3e-3), "model.dropout": (None, 0.2)})

The key "from" names what a point starts from: a run's folder, or a config that is trained first.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between, Count, fault_of, fields_of, nearest, written

Settings = dict[str, str]  # of config keys, as flags have them
KINDS = {"log_uniform": 2, "uniform": 2, "integers": 2, "choice": None}  # of a dimension, and how many values it takes


@dataclass(frozen=True)
class Sweep:
    """The fields of `get_sweep`. With `search` the points are found, else they are `points` times `grid`."""

    question: str = ""  # what the sweep is to answer
    seeds: tuple[Annotated[int, Between(0, 2**32 - 1)], ...] = (0,)  # of every point
    points: Sequence[Mapping[str, Any]] = ({},)  # settings of config keys; each is combined with
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # every combination of these values
    search: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # a dimension for each key: see `KINDS`
    trials: Count = 32  # points of a search
    generation: Count = 8  # points that are asked for together
    sampler: Literal["random", "tpe", "cma_es"] = "tpe"
    pruner: Literal["asha", "hyperband", "median"] | None = None  # of a search; ends weak trainings at the
    rungs: tuple[Count, ...] = ()  # steps, ascending
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0  # of the search
    metric: str | None = None  # validation metric by which points are judged; None: the config's `eval.best`
    members: Annotated[int | None, Between(1, None)] = None  # of one program at most; None: as memory allows

    @property
    def keys(self) -> list[str]:
        """Everything that varies, in the order in which it is written."""
        return list(dict.fromkeys([*itertools.chain(*self.points), *self.grid, *self.search]))


def read(found: Any, where: str) -> Sweep:
    """The sweep that a file's `get_sweep` returns.

    Raises:
        UserError: all faults, a line each.
    """
    if not isinstance(found, Mapping):
        raise UserError(f"{where}: get_sweep returns {type(found).__name__}; it must return a dictionary")
    known = fields_of(Sweep)
    faults = [
        f"{where}: get_sweep: no such field as {name}{nearest(str(name), known)}" for name in found if name not in known
    ]
    given = {name: value for name, value in found.items() if name in known}
    faults += [f"{where}: get_sweep: {name} {fault}" for name, value in given.items() if (fault := _fault(name, value))]
    if faults:
        raise UserError(*faults)
    sweep = Sweep(**given)
    if len(set(sweep.seeds)) < len(sweep.seeds) or not sweep.seeds:
        raise UserError(f"{where}: get_sweep: seeds = {sweep.seeds} must name at least one, and none twice")
    if sweep.search and (sweep.grid or list(sweep.points) != [{}]):
        raise UserError(f"{where}: get_sweep: gives a search and points or a grid; give one kind")
    if bool(sweep.rungs) != (sweep.pruner is not None) or (sweep.pruner and not sweep.search):
        raise UserError(f"{where}: get_sweep: pruner and rungs go together, and with a search")
    if list(sweep.rungs) != sorted(set(sweep.rungs)):
        raise UserError(f"{where}: get_sweep: rungs = {sweep.rungs} must be ascending steps")
    if not sweep.keys and len(sweep.seeds) == 1:
        raise UserError(f"{where}: get_sweep: varies nothing; give points, a grid, a search or several seeds")
    return sweep


def points_of(sweep: Sweep) -> list[Settings]:
    """All points of a sweep that is no search, in the order in which they are written, each once."""
    combined = [
        {**point, **dict(zip(sweep.grid, values, strict=True))}
        for point in sweep.points
        for values in itertools.product(*sweep.grid.values())
    ]
    texts = [as_text(point) for point in combined]
    return [point for number, point in enumerate(texts) if point not in texts[:number]]


def as_text(settings: Mapping[str, Any]) -> Settings:
    """Settings as flags have them."""
    return {key: written(value) for key, value in settings.items()}


def _fault(name: str, value: Any) -> str | None:
    """What is wrong with one field."""
    if name == "grid":
        return _mapping_fault(value, lambda values: isinstance(values, tuple | list) and len(values) > 0, "a list")
    if name == "points":
        sound = isinstance(value, tuple | list) and value and all(isinstance(point, Mapping) for point in value)
        return None if sound else "must be a list of dictionaries, a point each"
    if name == "search":
        wrong = _mapping_fault(value, lambda dimension: isinstance(dimension, Mapping), "a dictionary")
        return wrong or next(_dimension_faults(value), None)
    return fault_of(value, fields_of(Sweep)[name])


def _mapping_fault(value: Any, is_sound: Any, what: str) -> str | None:
    if not isinstance(value, Mapping):
        return "must be a dictionary by config keys"
    return next((f"{key}: must be {what} of at least one" for key, own in value.items() if not is_sound(own)), None)


def _dimension_faults(search: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key, dimension in search.items():
        kinds = [kind for kind in dimension if kind != "only_if"]
        if len(kinds) != 1 or kinds[0] not in KINDS:
            yield f"{key}: must have one of {', '.join(KINDS)}, and may have only_if"
            continue
        values, count = dimension[kinds[0]], KINDS[kinds[0]]
        if not isinstance(values, tuple | list) or not values or count not in (None, len(values)):
            yield f"{key}: {kinds[0]} takes {'a list of values' if count is None else 'the lowest and highest value'}"
        elif count and not (all(isinstance(one, int | float) for one in values) and values[0] < values[1]):
            yield f"{key}: {kinds[0]} = {values} must be the lowest and the highest value, in this order"
        elif kinds[0] == "log_uniform" and values[0] <= 0:
            yield f"{key}: log_uniform = {values} must be above 0"
        for other in dimension.get("only_if", {}):
            if other not in list(search)[: list(search).index(key)]:
                yield f"{key}: only_if: {other} is no dimension before this one"
