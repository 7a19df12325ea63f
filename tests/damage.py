"""Ways to damage files."""

from pathlib import Path


def flip_a_byte(checkpoint: Path) -> None:
    """In the middle of every large file of a checkpoint: which of them holds what is orbax's affair."""
    for path in (checkpoint / "state").rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 255
            path.write_bytes(content)
