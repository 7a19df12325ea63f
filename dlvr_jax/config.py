"""A config file and the flags given with it: found, loaded, flattened, fingerprinted. Meaning: `check.py`."""

import hashlib
import importlib.util
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dlvr_jax.errors import UserError
from dlvr_jax.schema import nearest

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("cnn", "modern_cnn", "rnn", "modern_rnn", "attention", "transformer", "gan", "diffusion", "ebm")
# Keys that may change when a run is resumed: how it runs, not what is trained. Another `mesh` is recorded as weaker.
HOW = ("data.backing", "mesh.data", "mesh.fsdp", "train.keep")


@dataclass(frozen=True)
class Source:
    """Where a config comes from: its file and the argument after the colon (`configs/x.py:tiny`)."""

    file: Path
    argument: str = ""

    @property
    def name(self) -> str:
        """The stem of the file, with the argument: 'lenet5_digits-tiny'."""
        return self.file.stem + (f"-{self.argument}" if self.argument else "")

    @property
    def family(self) -> str:
        """The folder of the file: 'cnn'."""
        return self.file.parent.name

    def __str__(self) -> str:
        inside = self.file.is_relative_to(ROOT)
        path = self.file.relative_to(ROOT) if inside else self.file
        return f"{path}:{self.argument}" if self.argument else str(path)


def place_of(family: str) -> tuple[int, str]:
    """To sort families by: those of the book in its order, then others."""
    return (FAMILIES.index(family) if family in FAMILIES else len(FAMILIES), family)


def find(text: str) -> Source:
    """The config file that `PATH[:ARGUMENT]` names: from the working directory, else from the project's root.

    Raises:
        UserError: no such file, with the nearest that there is.
    """
    path, colon, argument = text.rpartition(":")
    path, argument = (path, argument) if colon and not Path(text).is_file() else (text, "")
    for file in (Path(path), ROOT / path):
        if file.is_file():
            return Source(file.resolve(), argument)
    if (Path(path) / "config.json").is_file():
        raise UserError(f"{path} is a run folder; give a config file, or the verb that takes a run")
    known = [str(file.relative_to(ROOT)) for file in sorted((ROOT / "configs").glob("*/[a-z]*.py"))]
    raise UserError(f"{path}: no such config file{nearest(path, known)}")


def load(source: Source) -> dict[str, Any]:
    """What the file's `get_config(argument)` returns, as flat dotted keys.

    Raises:
        UserError: the file has no `get_config`, fails, or knows no such argument; with file and line.
    """
    found = call(source, "get_config")
    if not isinstance(found, ConfigDict):
        raise UserError(f"{source.file}: get_config returns {type(found).__name__}; it must return a ConfigDict")
    return flatten(found.to_dict())


def call(source: Source, function: str) -> Any:
    """What a function of the file returns for the source's argument.

    Raises:
        UserError: there is no such function, or the file or the function fails; with file and line.
    """
    module = _execute(source.file)
    if not callable(getattr(module, function, None)):
        raise UserError(f"{source.file}: it must define {function}(arg)")
    try:
        return getattr(module, function)(source.argument)
    except (Exception, SystemExit) as error:
        raise UserError(f"{_place(source.file, error)}: {_message(error)}") from error


def _execute(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} is no config: a config is a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{_place(file, error)}: the config file fails: {_message(error)}") from error
    return module


def _place(file: Path, error: BaseException) -> str:
    """File and line of the last frame inside the config file, or of its syntax error."""
    if isinstance(error, SyntaxError):
        return f"{file}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _message(error: BaseException) -> str:
    text = str(error.msg if isinstance(error, SyntaxError) else error).splitlines()
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return kind + (text[0] if text else "")


def flags(arguments: Sequence[str]) -> dict[str, str]:
    """`--config.KEY=VALUE` or `--config.KEY VALUE` as {KEY: VALUE}, values still text.

    Raises:
        UserError: an argument of another form.
    """
    found: dict[str, str] = {}
    rest = list(arguments)
    faults = []
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--config.") or argument.partition("=")[0] == "--config.":
            faults.append(f"{argument}: unknown argument; settings are given as --config.KEY=VALUE")
            continue
        key, given, value = argument.removeprefix("--config.").partition("=")
        if not given and not rest:
            faults.append(f"--config.{key}: needs a value, as --config.{key}=VALUE")
            continue
        found[key] = value if given else rest.pop(0)
    if faults:
        raise UserError(*faults)
    return found


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return nested


def identity(flat: Mapping[str, Any], origin: str | None = None) -> dict[str, Any]:
    """What is trained, without how it runs, and the run that it starts from as "from"; JSON's form of each value."""
    known: dict[str, Any] = json.loads(json.dumps({key: value for key, value in flat.items() if key not in HOW}))
    return known | ({} if origin is None else {"from": origin})


def fingerprint(flat: Mapping[str, Any]) -> str:
    """SHA-256 of the complete config, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(dict(flat), sort_keys=True).encode()).hexdigest()
