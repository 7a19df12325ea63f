"""Files that are whole or absent, whatever happens to the program that writes them."""

import os
from pathlib import Path

from dlvr_jax.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside the file, forces it to the disk, then renames; the folder is made where needed.

    Raises:
        UserError: there is a folder of that name.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file in it")
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
