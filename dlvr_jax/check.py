"""A config checked against the signatures of what it names: completed, typed, and all faults at once."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dlvr_jax.cross_check import cross_faults
from dlvr_jax.data.augment import augment
from dlvr_jax.data.paths import resolved
from dlvr_jax.data.sources import Source
from dlvr_jax.errors import UserError
from dlvr_jax.schema import REQUIRED, Between, Field, fault_of, fields_of, nearest, normal, parse, resolve
from dlvr_jax.sections import VARY, DataSection, EvalSection, MeshSection, PopulationSection, TrainSection
from dlvr_jax.training.optimizers import OptimizerSection

# What `build.py` fills in from the data, the precision and other parts, by section: never in a config.
_OF_THE_DATA = frozenset(
    {"num_classes", "image_shape", "sample_shape", "vocab_size", "target_vocab_size", "horizon", "channels"}
)
FILLED = {
    "model": _OF_THE_DATA | {"parent", "name", "dtype"},
    "task": _OF_THE_DATA
    | {"model", "augment", "optimizer", "class_names", "mean", "std", "tokenizer", "target_tokenizer", "period"}
    | {"training_images"},
    "augment": frozenset({"num_classes"}),
}
# Keys that name something, the package below which it is found, and the method whose rates are part of its schema.
NAMES = {
    "task.name": ("dlvr_jax.tasks", "loss"),
    "model.name": ("dlvr_jax.models", "__call__"),
    "data.name": ("dlvr_jax.data.builders", None),
    "optimizer.name": ("dlvr_jax.training.optimizers", None),
    "optimizer.schedule": ("dlvr_jax.training.schedules", None),
}
DEFAULT_NAMES = {f"optimizer.{field.name}": field.default for field in dataclasses.fields(OptimizerSection)}
STRUCTURE = ("data.name", "optimizer.schedule")  # whose floats choose the data or the program: no hyper
# What a class that the key names must have: one of these sets of methods.
METHODS = {
    "task.name": (("init", "loss", "evaluate", "finish"), ("init", "train_step", "eval_step", "finish")),
    "model.name": (("init", "apply"),),
}
SECTIONS = {
    "data": DataSection,
    "train": TrainSection,
    "eval": EvalSection,
    "optimizer": OptimizerSection,
    "mesh": MeshSection,
    "population": PopulationSection,
}

Flat = dict[str, Any]


@dataclass(frozen=True)
class Complete:
    """A config with every key, by dotted name, and who set each: "default", "config" (the file) or "flag"."""

    flat: Flat
    origin: dict[str, str]
    notes: tuple[str, ...] = ()  # what a flag made void


def complete(values: Mapping[str, Any], flags: Mapping[str, str]) -> Complete:
    """The config file's values with the flags over them, completed from the signatures.

    Names come first, since they say which other keys there are. An argument in the file of something that a flag has
    replaced is left out, with a note. Of `train.steps` and `train.epochs`, a flag replaces the other. `data.path` is
    made one that holds in every working directory.

    Raises:
        UserError: all faults, a line each.
    """
    kept, notes = dict(values), []
    for one, other in (("train.steps", "train.epochs"), ("train.epochs", "train.steps")):
        if one in flags and other not in flags and kept.pop(other, None) is not None:
            notes.append(f"--config.{one} replaces {other} of the config file")
    fields, targets = _schema(kept, flags)
    for name in NAMES:
        section = name.partition(".")[0]
        for key in [key for key in kept if name in flags and key.startswith(section + ".") and key not in fields]:
            notes.append(
                f"{key} = {kept.pop(key)!r} of the config file is left out: {flags[name]} has no such argument"
            )
    faults = [*_unknown(kept, fields, targets, ""), *_unknown(flags, fields, targets, "--config.")]
    typed = {key: parse(text, fields[key]) for key, text in flags.items() if key in fields}
    given = {key: value for key, value in {**kept, **typed}.items() if key in fields}
    flat = {
        key: normal(given.get(key, field.default), field)
        for key, field in fields.items()
        if key in given or not key.startswith(VARY)
    }
    if isinstance(path := flat.get("data.path"), str):
        flat["data.path"] = resolved(path)
    wrong = {key: fault for key in sorted(flat) if (fault := _value_fault(key, flat[key], fields[key]))}
    examples, of_data = _train_examples(flat, wrong)
    sound = {key: value for key, value in flat.items() if key not in wrong}
    faults += [*wrong.values(), *of_data, *cross_faults(sound, examples)]
    origin = {key: "flag" if key in typed else "config" if key in given else "default" for key in flat}
    if faults:
        raise UserError(*faults)
    return Complete(flat, origin, tuple(notes))


def fields(flat: Flat) -> dict[str, Field]:
    """What each key of a complete config takes."""
    return _schema(flat, {})[0]


def hyper_keys(flat: Flat) -> list[str]:
    """The keys of the numbers that may vary, in a fixed order."""
    fields, _ = _schema(flat, {})
    return sorted(key for key, field in fields.items() if field.hyper)


def own_arguments(flat: Flat, section: str) -> dict[str, Any]:
    """The arguments of what a section names: its structure, by name, without the shared fields of the section."""
    fields, _ = _schema(flat, {})
    shared = {"name"} | set(fields_of(SECTIONS[section]) if section in SECTIONS else ())
    own = {key.partition(".")[2]: key for key in fields if key.startswith(section + ".")}
    return {name: flat[key] for name, key in own.items() if name not in shared and not fields[key].hyper}


def named(flat: Flat, key: str) -> Callable[..., Any]:
    """What the config names under one of `NAMES`."""
    return resolve(flat[key], NAMES[key][0], key)


def _schema(values: Mapping[str, Any], flags: Mapping[str, str]) -> tuple[dict[str, Field], dict[str, str]]:
    """Every key that there is, given the names; and for each section whose keys these are."""
    names = {key: str(flags.get(key) or values.get(key) or DEFAULT_NAMES.get(key, "")) for key in NAMES}
    return _schema_of(tuple(names.items()))


@lru_cache(maxsize=64)
def _schema_of(names: tuple[tuple[str, str], ...]) -> tuple[dict[str, Field], dict[str, str]]:
    shared = {
        key: field for section, kind in SECTIONS.items() for key, field in _keys(section, fields_of(kind)).items()
    }
    faults = [f"{key}: is missing; it names a {key.partition('.')[0]}" for key, name in names if not name]
    found: dict[str, Callable[..., Any]] = {}
    for key, name in names:
        try:
            found |= {key: _of_its_kind(key, name)} if name else {}
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*faults)
    fields = {"seed": Field("seed", (int,), Between(0, 2**32 - 1), 0, False)} | shared
    for key, target in found.items():
        fields.setdefault(key, Field(key, (str,), None, REQUIRED, False))
        section = key.partition(".")[0]
        own = fields_of(target, rates_of(key, target), FILLED.get(section, ()))
        if key in STRUCTURE:
            own = {name: dataclasses.replace(field, hyper=False) for name, field in own.items()}
        fields |= _keys(section, own)
    if "augment" in inspect.signature(found["task.name"]).parameters:
        fields |= _keys("augment", fields_of(augment, skip=FILLED["augment"]))
    fields |= {VARY + key: _values(field) for key, field in fields.items() if field.hyper}
    targets = {section: f"config.{section}" for section in SECTIONS}
    return fields, targets | {key.partition(".")[0]: name for key, name in names if key in METHODS}


def rates_of(key: str, target: Callable[..., Any]) -> str | None:
    """The method of a class whose keyword-only parameters are its rates; a task of several players has `losses`."""
    method = NAMES[key][1]
    return "losses" if method == "loss" and not hasattr(target, "loss") else method


def _of_its_kind(key: str, name: str) -> Callable[..., Any]:
    """What a name stands for. Raises UserError where that cannot be what the key asks for."""
    target = resolve(name, NAMES[key][0], key)
    kinds = METHODS.get(key)
    if kinds and not (inspect.isclass(target) and any(all(hasattr(target, m) for m in methods) for methods in kinds)):
        raise UserError(f"{key} = {name}: is no class with the methods {', '.join(kinds[0])}")
    if not kinds and not inspect.isfunction(target):
        raise UserError(f"{key} = {name}: is no function")
    return target


def _values(hyper: Field) -> Field:
    """One number for each member, each in the hyper's range."""
    return Field(hyper.name, (tuple[float, ...],), hyper.range, REQUIRED, False)


def _keys(section: str, fields: Mapping[str, Field]) -> dict[str, Field]:
    return {f"{section}.{name}": field for name, field in fields.items()}


def _unknown(
    given: Mapping[str, Any], fields: Mapping[str, Field], targets: Mapping[str, str], prefix: str
) -> list[str]:
    faults = []
    for key in given:
        if key not in fields:
            faults.append(f"{prefix}{key}: no such key{_other(key, fields, targets)}")
    return faults


def _other(key: str, fields: Mapping[str, Field], targets: Mapping[str, str]) -> str:
    """The nearest key of the same section, or what there is in it."""
    section, _, own = key.partition(".")
    rivals = [name.partition(".")[2] for name in fields if name.startswith(section + ".")]
    if not rivals or not own:
        return nearest(key, fields)
    near = nearest(own, rivals)
    return near.replace('"', f'"{section}.', 1) if near else f"; {targets[section]} has {', '.join(rivals)}"


def _value_fault(key: str, value: Any, field: Field) -> str | None:
    if value is REQUIRED:
        return f"{key}: is missing, and has no default"
    fault = fault_of(value, field)
    return f"{key} {fault}" if fault else None


def _train_examples(flat: Flat, wrong: Mapping[str, str]) -> tuple[int | None, tuple[str, ...]]:
    """The size of the train split, or what the data set says against its arguments."""
    if any(key.startswith("data.") for key in wrong):
        return None, ()
    try:
        return source(flat).spec.splits["train"], ()
    except UserError as error:
        return None, error.faults


def source(flat: Flat) -> Source:
    """The data set that the config names; made once, since it may look at its files.

    Raises:
        UserError: as the data set says.
    """
    return _source(named(flat, "data.name"), tuple(sorted(own_arguments(flat, "data").items())))


@lru_cache(maxsize=16)
def _source(builder: Callable[..., Source], arguments: tuple[tuple[str, Any], ...]) -> Source:
    return builder(**dict(arguments))
