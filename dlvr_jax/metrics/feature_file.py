"""The file of a feature network: parameters and statistics as safetensors, and in its metadata what the network is."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dlvr_jax.atomic_write import write_bytes
from dlvr_jax.errors import UserError
from dlvr_jax.schema import resolve

FORMAT = "dlvr_jax features 1"


@dataclass(frozen=True)
class About:
    """What the file says of its network."""

    model: str  # its dotted name
    arguments: dict[str, Any]  # of the model, complete
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of images in [0, 1]
    std: tuple[float, ...]
    data: str
    data_fingerprint: str
    test_accuracy: float
    test_examples: int
    config: str  # fingerprint of the config that it was trained by


class Contents(NamedTuple):
    """A file, read: the model made, its collections ("params" among them), and the SHA-256 (hexadecimal) of all."""

    about: About
    digest: str
    model: Any
    variables: dict[str, Any]


def write(path: Path, about: About, variables: Mapping[str, Any]) -> None:
    """Writes the file, whole or not at all; `variables` are all collections, "params" among them."""
    from safetensors.numpy import save

    tensors = {_name(place): np.asarray(leaf) for place, leaf in jax.tree_util.tree_leaves_with_path(dict(variables))}
    write_bytes(path, save(tensors, metadata={"format": FORMAT, "about": json.dumps(asdict(about))}))


@lru_cache(maxsize=8)
def read(path: str) -> Contents:
    """Raises UserError where there is no such file, or it is something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        raw = Path(path).read_bytes()
        about = _about(raw)
        tensors = load(raw)
        model = resolve(about.model, "dlvr_jax.models", path)(**about.arguments)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of features; ./launch.sh export RUN makes one of a classifier") from None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{path} is no file of features, or is damaged: {error}") from None
    return Contents(about, hashlib.sha256(raw).hexdigest(), model, _nested(tensors))


def arguments_of(model: Any) -> dict[str, Any]:
    """The arguments that make this Linen module, without its precision.

    Raises:
        UserError: one of them is no plain value, so it cannot be written down.
    """
    left_out = ("parent", "name", "dtype")
    given = {f.name: getattr(model, f.name) for f in fields(model) if f.init and f.name not in left_out}
    try:
        json.dumps(given)
    except TypeError as error:
        raise UserError(f"{type(model).__name__} cannot be written to a file of features: {error}") from None
    return given


def _name(place: tuple[Any, ...]) -> str:
    return "/".join(str(part.key) for part in place)


def _nested(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, array in tensors.items():
        *parents, last = name.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = array
    return tree


def _about(raw: bytes) -> About:
    """The metadata: a safetensors file begins with the length of its header, then the header as JSON."""
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    metadata = header["__metadata__"]
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
    return About(**{name: _tuples(value) for name, value in json.loads(metadata["about"]).items()})


def _tuples(value: Any) -> Any:
    """JSON makes tuples lists: the way back."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
