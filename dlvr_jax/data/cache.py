"""Folders in the cache that are whole or absent, whoever makes them at once."""

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
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
        raise _damaged(path, error) from error


def write_text_checked(path: Path, text: str) -> None:
    """Writes a text and, beside it, its SHA-256, for `read_text_checked`."""
    content = text.encode()
    path.write_bytes(content)
    _digest_of(path).write_text(sha256(content).hexdigest())


def read_text_checked(path: Path) -> str:
    """A text of `write_text_checked`. Raises a UserError where it is gone or not what was written."""
    try:
        content = path.read_bytes()
        right = sha256(content).hexdigest() == _digest_of(path).read_text()
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not right:
        raise _damaged(path, "not what was written")
    return content.decode()


def _digest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _damaged(path: Path, reason: object) -> UserError:
    return UserError(f"{path} is damaged ({reason}); remove {path.parent} to make it again")


def read_json(path: Path) -> Any:
    """The same, of JSON."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise _damaged(path, error) from error
