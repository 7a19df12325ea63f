"""Folders in the cache that are whole or absent, whoever makes them at once."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlvr_jax.errors import UserError


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, which `make` fills unless it exists; of several processes one makes it and the others wait.

    `make` gets a new empty folder beside it, renamed when it is done; what a killed process left there is removed.
    """
    if folder.is_dir():
        return folder
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _fill(folder, make)
    except OSError as error:
        reason = error.strerror or f"{error}: is the disk full?"  # numpy and TFDS give no number
        raise UserError(f"cannot write to the cache {folder} ({reason}); DLVR_CACHE names another folder") from error
    return folder


def _fill(folder: Path, make: Callable[[Path], None]) -> None:
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        make(temporary)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_text(path: Path) -> str:
    """A small file out of a folder that `make_once` made. Raises a UserError where it is gone or damaged."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); remove {path.parent} to make it again") from error


def read_json(path: Path) -> Any:
    """The same, of JSON."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); remove {path.parent} to make it again") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file that is whole or absent; its folder is made where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
