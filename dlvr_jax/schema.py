"""Signatures as the schema of a config: what a function or class takes, its types, ranges and defaults.

Two rules say which arguments are *hyper* (numbers that may vary, kept in the state) and which are structure:

- of a class, the fields are structure, and the keyword-only parameters of its call are hyper;
- of a function or a shared section, every float is hyper, and the rest is structure.

A hyper whose value is None is absent from the program; a number, also 0.0, is data.
"""

import ast
import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from jaxtyping import Array

from dlvr_jax.errors import UserError, blamed

Number = float | Array  # a hyper: a number in a config, an array inside a program
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Between:
    """An allowed range, ends included; None is an open end. Used as `Annotated[float, Between(0, 1)]`."""

    low: float | int | None
    high: float | int | None

    def __contains__(self, value: float | int) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low}"
        return f"at most {self.high}" if self.low is None else f"between {self.low} and {self.high}"


Count = Annotated[int, Between(1, None)]  # of layers, units, maps, ...


@dataclass(frozen=True)
class Field:
    """One argument: its name, type (a union is a tuple of alternatives), range, default, and whether it is hyper.

    The range of a list is that of each of its items.
    """

    name: str
    types: tuple[Any, ...]
    range: Between | None
    default: Any
    hyper: bool


@dataclass(frozen=True)
class Bound:
    """A function with its structural arguments fixed; equal by value, so that equal configs share compiled programs."""

    function: Callable[..., Any]
    arguments: tuple[tuple[str, Hashable], ...] = ()

    def __call__(self, *args: Any, **rates: Any) -> Any:
        return self.function(*args, **dict(self.arguments), **rates)


def fields_of(target: Callable[..., Any], call: str | None = None, skip: Iterable[str] = ()) -> dict[str, Field]:
    """The arguments of a section class or function; of a class with a call, `call` names the method with its rates."""
    if call is None:
        return _parameters(target, skip, _is_float)
    structure = _parameters(target, skip, lambda annotation: False)
    return structure | _parameters(getattr(target, call), {"train", *skip}, lambda annotation: True)


def _parameters(target: Callable[..., Any], skip: Iterable[str], is_hyper: Callable[[Any], bool]) -> dict[str, Field]:
    """Every field of a class, every keyword-only parameter of a function."""
    hints = typing.get_type_hints(target, include_extras=True)
    fields = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if (inspect.isclass(target) or parameter.kind == parameter.KEYWORD_ONLY) and name not in skip:
            annotation = hints.get(name, Any)
            alternatives, allowed = _alternatives(annotation)
            fields[name] = Field(name, alternatives, allowed, _default(target, name, parameter), is_hyper(annotation))
    return fields


def _default(target: Callable[..., Any], name: str, parameter: inspect.Parameter) -> Any:
    """A dataclass keeps a default factory where the signature shows a marker."""
    if dataclasses.is_dataclass(target):
        field = {field.name: field for field in dataclasses.fields(target)}[name]
        if field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    return parameter.default


def _alternatives(annotation: Any) -> tuple[tuple[Any, ...], Between | None]:
    """Annotated[float, Between(0, 1)] | None -> ((float, NoneType), Between(0, 1)); the range may stand outside too."""
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        kinds, allowed = _alternatives(inner)
        return kinds, next((extra for extra in extras if isinstance(extra, Between)), allowed)
    if get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [_alternatives(part) for part in get_args(annotation)]
        return tuple(k for kinds, _ in parts for k in kinds), next((allowed for _, allowed in parts if allowed), None)
    if get_origin(annotation) is tuple:
        of_one, allowed = _alternatives(get_args(annotation)[0])
        items: Any = tuple(of_one[0] if get_origin(item) is Annotated else item for item in get_args(annotation))
        return (tuple[items],), allowed
    return () if annotation is Array else (annotation,), None


def _is_float(annotation: Any) -> bool:
    return float in _alternatives(annotation)[0]


def fault_of(value: Any, field: Field) -> str | None:
    """What is wrong with a value, as the end of a sentence ("= 3 is not ..."), or None."""
    if not any(_fits(value, kind) for kind in field.types):
        return f"= {value!r} is not {_type_names(field)}"
    numbers = [one for one in (value if isinstance(value, tuple | list) else (value,)) if _is_number(one)]
    if not all(math.isfinite(one) for one in numbers if isinstance(one, float)):
        return f"= {value!r} is not a finite number"
    if field.range and any(one not in field.range for one in numbers):
        return f"= {value!r} must be {field.range}"
    return None


def allowed(field: Field) -> str:
    """What a field takes, in words: 'a whole number, at least 1, or none'."""
    parts = [_type_names(dataclasses.replace(field, types=tuple(k for k in field.types if k is not types.NoneType)))]
    parts += [str(field.range)] if field.range and (field.range.low, field.range.high) != (None, None) else []
    return ", ".join([*parts, "or none"] if types.NoneType in field.types else parts)


def _type_names(field: Field) -> str:
    return " or ".join(_type_name(kind) for kind in field.types)


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(value, tuple | list) or (items[-1] is not ... and len(value) != len(items)):
            return False
        return all(_fits(part, items[0] if items[-1] is ... else items[place]) for place, part in enumerate(value))
    if kind is float:
        return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and _is_small(value))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind) if isinstance(kind, type) else True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_small(value: int) -> bool:
    """Whether a whole number fits into a float."""
    return -sys.float_info.max <= value <= sys.float_info.max


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        items = get_args(kind)
        names = {int: "whole numbers", float: "numbers", str: "texts"}
        return f"a list of {'' if items[-1] is ... else f'{len(items)} '}{names.get(items[0], str(items[0]))}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "none"}
    return names.get(kind, str(kind))


def parse(text: str, field: Field) -> Any:
    """A flag's text as a value of the field's type; text that fits no type comes back as it is, for `fault_of`."""
    if types.NoneType in field.types and text.lower() in ("none", "null"):
        return None
    if bool in field.types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    value = tuple(value) if isinstance(value, list) else value
    if any(get_origin(kind) is tuple for kind in field.types) and not isinstance(value, tuple):
        value = (value,)
    return normal(value, field) if any(_fits(value, kind) for kind in field.types) else text


def written(value: Any) -> str:
    """A value as a flag has it, the way back of `parse`: 'none', 'true', '0.001', '(1, 2)', words as they are."""
    if isinstance(value, str):
        return value
    return repr(value).lower() if value is None or isinstance(value, bool) else repr(value)


def normal(value: Any, field: Field) -> Any:
    """One form for equal values: a whole number given for a float becomes one, a list becomes a tuple."""
    if isinstance(value, list | tuple):
        floats = any(get_origin(kind) is tuple and get_args(kind)[0] is float for kind in field.types)
        return tuple(float(one) if floats and _is_number(one) else one for one in value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    as_float = is_whole and float in field.types and int not in field.types and _is_small(value)
    return float(value) if as_float else value


def nearest(name: str, names: Iterable[str]) -> str:
    """', did you mean ...?' if one of the names is near, else ''."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def resolve(name: str, package: str, key: str) -> Callable[..., Any]:
    """The thing that a dotted name stands for, below `package` or from the root.

    A module stands for the thing of its own name inside ("digits" is `digits.digits`).

    Raises:
        UserError: nothing of that name, with the place and the nearest one; or the user's module fails to import.
    """
    if any(part.startswith("_") for part in name.split(".")):
        raise UserError(f'{key}: "{name}" is not public: a part of it begins with "_"')
    for path in (f"{package}.{name}", name):
        found = _import(path, key)
        if inspect.ismodule(found):
            found = getattr(found, path.rsplit(".", 1)[-1], found)
        if callable(found):
            return found
    near = nearest(name, names_in(package)) or f"; {package.replace('.', '/')}/ holds what there is"
    raise UserError(f'{key}: no "{name}" in {package} or on the Python path{near}')


def _import(path: str, key: str) -> Any:
    """The object at a dotted path: modules as far as there are any, then attributes; None if there is none."""
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    found: Any = None
    for number, part in enumerate(parts):
        name = ".".join(parts[: number + 1])
        if (found is None or inspect.ismodule(found)) and _is_module(name):
            found = _import_module(name, key)
        else:
            found = getattr(found, part, None)
        if found is None:
            return None
    return found


def _is_module(name: str) -> bool:
    """Whether there is such a module; its parents are imported already."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _import_module(name: str, key: str) -> types.ModuleType:
    with blamed(f"{key}: the module {name} fails to import"):
        return importlib.import_module(name)


def names_in(package: str) -> list[str]:
    """Every name that `resolve` finds in a package of this project: public functions and classes, dotted."""
    import pkgutil

    module = importlib.import_module(package)
    modules = pkgutil.walk_packages(getattr(module, "__path__", []), package + ".")
    found = [package] if not hasattr(module, "__path__") else [m.name for m in modules if not m.ispkg]
    return [short for path in found for short in _public_names(path, package)]


def _public_names(path: str, package: str) -> list[str]:
    module = importlib.import_module(path)
    prefix = path.removeprefix(package).lstrip(".")
    own = [n for n, o in vars(module).items() if callable(o) and getattr(o, "__module__", "") == path and n[0] != "_"]
    if prefix.rsplit(".", 1)[-1] in own:
        return [prefix]
    return [f"{prefix}.{name}".lstrip(".") for name in own]
