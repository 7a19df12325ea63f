"""See `load` for notebooks; everything else is imported from its module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from dlvr_jax.loaded import Loaded


def load(run: str | PathLike[str]) -> Loaded:
    """The model of a run folder, with its parameters and `predict`: `load("runs/cnn/...").predict(images)`.

    Pins the CPU threads as the run had them, if no device was touched before: then the same images give the same bits.

    Raises:
        UserError: the folder is no run, has no checkpoint, or is damaged.
    """
    from pathlib import Path

    from dlvr_jax import loaded

    return loaded.load(Path(run))
