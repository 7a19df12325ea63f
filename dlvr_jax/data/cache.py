"""Folders in the cache that are whole or absent, whoever makes them at once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dlvr_jax.errors import UserError


def cache_folder() -> Path:
    """`DLVR_CACHE`, by default `~/.cache/dlvr_jax`."""
    return Path(os.environ.get("DLVR_CACHE") or "~/.cache/dlvr_jax").expanduser().absolute()


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
        raise UserError(f"cannot write to the cache {folder}: {error}; DLVR_CACHE names another folder") from error
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


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file that is whole or absent; its folder is made where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
