"""What can be shown: the only language between tasks, which make displays, and reporting, which draws them.

A display is a file `samples/<step>/<name>.npz` in a run folder: arrays, and the rest as JSON, without pickle.
"""

import dataclasses
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dlvr_jax.errors import UserError


@dataclass(frozen=True)
class Images:
    """Pictures side by side, each with a caption (or none at all)."""

    images: UInt8[np.ndarray, "count height width channels"]
    captions: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Text:
    """Passages of text, one under the other."""

    passages: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True)
class Curves:
    """Lines over one axis: `y[i]` is the line called `names[i]`."""

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, "lines points"]
    names: tuple[str, ...]
    x_label: str
    y_label: str
    title: str = ""


@dataclass(frozen=True)
class HeatMap:
    """A matrix as colours, row 0 on top."""

    values: Float[np.ndarray, "rows columns"]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    x_label: str
    y_label: str
    title: str = ""


@dataclass(frozen=True)
class Alignment:
    """Attention weights of each target token (a row, sum 1) over the source tokens."""

    weights: Float[np.ndarray, "target source"]
    source: tuple[str, ...]
    target: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; numbers keep full precision, reporting rounds them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int, ...], ...]
    title: str = ""


Display = Images | Text | Curves | HeatMap | Alignment | Table
_KINDS = {kind.__name__: kind for kind in (Images, Text, Curves, HeatMap, Alignment, Table)}


def save(display: Display, path: Path) -> None:
    """Writes one display as an `.npz` file, whole or not at all."""
    values = {field.name: getattr(display, field.name) for field in dataclasses.fields(display)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    text = {name: value for name, value in values.items() if name not in arrays}
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, kind=type(display).__name__, text=json.dumps(text), **arrays)
    os.replace(temporary, path)


def load(path: Path) -> Display:
    """Reads what `save` wrote. Raises UserError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name not in ("kind", "text")}
            text: dict[str, Any] = {name: _tuples(value) for name, value in json.loads(str(file["text"])).items()}
            kind: Any = _KINDS[str(file["kind"])]
        display: Display = kind(**arrays, **text)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error}; remove it") from None
    return display


def _tuples(value: object) -> object:
    """JSON makes tuples lists: the way back."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
