"""Files that are whole or absent, whatever happens to the program that writes them."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes beside the file, forces it to the disk, then renames."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
