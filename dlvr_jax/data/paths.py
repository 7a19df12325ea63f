"""Paths that users give."""

from pathlib import Path

from dlvr_jax.errors import UserError


def user_path(path: str) -> Path:
    """`data.path` as a path, "~" being the home folder. Raises a UserError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~name" of a user that the machine does not know
        raise UserError(f"data.path = {path!r}: {error}") from error


def resolved(path: str) -> str:
    """The same path from every working directory; an address, or what is no path, as it is."""
    try:
        return path if "://" in path else str(Path(path).expanduser().resolve())
    except (OSError, RuntimeError, ValueError):  # which the data set says when it looks there
        return path


def user_bytes(path: str) -> bytes:
    """The content of the file `data.path`. Raises a UserError where it cannot be read."""
    try:
        return user_path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"data.path = {path!r} cannot be read ({getattr(error, 'strerror', None) or error})") from error
