"""The file of a feature network: parameters and statistics as safetensors, and in its metadata what the network is.

Or the weights of the Inception-v3 that FID is defined by (see `inception_file`), whose names say what they are.
"""

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
from dlvr_jax.metrics.inception_file import MODEL, OUTPUTS, is_inception, renamed
from dlvr_jax.random_key import key_of
from dlvr_jax.schema import resolve

FORMAT = "dlvr_jax features 1"


@dataclass(frozen=True)
class About:
    """What the file says of its network."""

    model: str  # its dotted name
    arguments: dict[str, Any]  # of the model, complete
    image_shape: tuple[int, ...] | None  # None: of any
    class_names: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of images in [0, 1]
    std: tuple[float, ...]
    data: str | None  # from here on None where the file does not say
    data_fingerprint: str | None
    test_accuracy: float | None
    test_examples: int | None
    config: str | None  # fingerprint of the config that it was trained by


INCEPTION = About(
    model="Inception-v3",
    arguments={"num_classes": OUTPUTS},
    image_shape=None,
    class_names=(),
    mean=(0.5,),
    std=(0.5,),
    data=None,
    data_fingerprint=None,
    test_accuracy=None,
    test_examples=None,
    config=None,
)


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
        header = _header(raw)
        tensors = load(raw)
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise ValueError("some of its numbers are not finite")
        about = INCEPTION if is_inception(tensors) else _about(header)
        named = MODEL if about is INCEPTION else about.model
        model = resolve(named, "dlvr_jax.models", path)(**about.arguments)
        variables = _nested(renamed(tensors, _shapes(model)) if about is INCEPTION else tensors)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of features; ./launch.sh export RUN makes one of a classifier") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"{path} is no file of features, or is damaged: {error}") from None
    return Contents(about, hashlib.sha256(raw).hexdigest(), model, variables)


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


@lru_cache(maxsize=1)
def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Of the model's parameters and statistics, by name, as it looks at pictures of any size."""
    images = jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")
    made = jax.eval_shape(lambda x: model.init(key_of(0), x, train=False), images)
    kept = {name: tree for name, tree in made.items() if name != "intermediates"}
    return {_name(place): leaf.shape for place, leaf in jax.tree_util.tree_leaves_with_path(kept)}


def _header(raw: bytes) -> dict[str, Any]:
    """A safetensors file begins with the length of its header, then the header as JSON."""
    if raw[:2] in (b"PK", b"\x80\x02"):
        raise ValueError("it is PyTorch's own format; write its state_dict by safetensors.torch.save_file")
    header: dict[str, Any] = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return header


def _about(header: Mapping[str, Any]) -> About:
    """The metadata of a file that `write` wrote."""
    metadata = header.get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
    about = About(**{name: _tuples(value) for name, value in json.loads(metadata["about"]).items()})
    if about.test_accuracy is not None and not 0 <= about.test_accuracy <= 1:
        raise ValueError(f"its test accuracy is {about.test_accuracy}")
    if not all(0 < std < np.inf for std in about.std) or not np.isfinite(about.mean).all():
        raise ValueError(f"its images have a mean of {about.mean} and a deviation of {about.std}")
    return about


def _tuples(value: Any) -> Any:
    """JSON makes tuples lists: the way back."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
