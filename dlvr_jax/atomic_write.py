"""Files that are whole or absent, whatever happens to the program that writes them."""

import os
from pathlib import Path

from dlvr_jax.errors import UserError


def check_file(path: Path) -> None:
    """Before long work: raises UserError where no file can be written later."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file in it")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"{path}: {parent} is no folder that can be written to; give another file")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside the file, forces it to the disk, then renames; the folder is made where needed.

    Raises:
        UserError: there is a folder of that name, or no folder to write to.
    """
    check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
