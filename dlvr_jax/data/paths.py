"""Paths that users give."""

from pathlib import Path

from dlvr_jax.errors import UserError


def user_path(path: str) -> Path:
    """`data.path` as a path, "~" being the home folder. Raises a UserError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~name" of a user that the machine does not know
        raise UserError(f"data.path = {path!r}: {error}") from error


def user_bytes(path: str) -> bytes:
    """The content of the file `data.path`. Raises a UserError where it cannot be read."""
    try:
        return user_path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"data.path = {path!r} cannot be read ({getattr(error, 'strerror', None) or error})") from error
