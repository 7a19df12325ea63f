"""Makes the environment that launch.sh runs verbs in: `set_up.py FOLDER PLATFORM CHECKSUM ASKED`.

It needs the standard library only, and is run with the Python that the environment is to have. PLATFORM names the
lock, CHECKSUM is the lock's, ASKED is the user's DLVR_PYTHON or empty; the three, written to FOLDER/.ready as the last
thing, say that the environment is ready.
Exits with 0 (ready), 1 (failed, after one line that says why) or 3 (this Python cannot: it says why,
and another one may).
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
FAILED, ANOTHER_PYTHON, INTERRUPTED = 1, 3, 130

FULL_DISK = re.compile(r"no space left on device|\(os error 28\)|disk quota exceeded", re.IGNORECASE)
NO_NETWORK = re.compile(
    r"name resolution|dns error|failed to establish a new connection|connection (refused|reset|timed out)"
    r"|network is unreachable|error sending request|operation timed out|read timed out|client error \(connect\)",
    re.IGNORECASE,
)
# Settings for a user's own installs, which would send the packages elsewhere.
ELSEWHERE = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "PYTHONPATH")


class SetUpError(Exception):
    """The environment could not be made: one line that says why and what to do."""

    def __init__(self, fault: str, status: int = FAILED) -> None:
        super().__init__(fault)
        self.status = status


def main(folder: Path, platform: str, checksum: str, asked: str) -> None:
    """Makes the environment in `folder`, unless another process has just done so."""
    claim(folder)
    with locked(folder) as lock:
        if not is_ready(folder, platform, checksum, asked):
            make(folder, platform, lock)
            write_stamp(folder, f"{platform}\n{checksum}\n{asked}\n")


def claim(folder: Path) -> None:
    """Makes the folder; refuses one that holds something else, since whatever is in it will be deleted."""
    own = folder == REQUIREMENTS.parent / ".venv" and not folder.is_symlink()
    folder.mkdir(parents=True, exist_ok=True)
    if not own and any(folder.iterdir()) and not lock_file(folder).exists():
        raise SetUpError(f"{folder} holds something that launch.sh has not made; name another folder by DLVR_VENV")


def lock_file(folder: Path) -> Path:
    """Lies in every environment that launch.sh has made, and is never deleted.

    Not named `.lock`: uv locks that one itself, in every environment, and would wait five minutes for this process.
    """
    return folder / ".launch_lock"


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Holds the folder's lock, which the kernel releases when the last process that has it open dies."""
    with lock_file(folder).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another launch.sh, which is setting up {folder} ...", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def is_ready(folder: Path, platform: str, checksum: str, asked: str) -> bool:
    """Whether the environment is made, from this lock and with the Python that was asked for (empty: any)."""
    stamp = folder / ".ready"
    if not stamp.exists() or not (folder / "bin/python").exists():
        return False
    lines = stamp.read_text().splitlines()
    return lines[:2] == [platform, checksum] and asked in ("", *lines[2:])


def make(folder: Path, platform: str, lock: int) -> None:
    """Empties the folder and makes the environment: venv, then uv by pip, then everything else by uv."""
    duration = "about half a minute" if platform == "cpu" else "some minutes"
    print(f"setting up {folder} with Python {version()} for {platform} ({duration}) ...", file=sys.stderr, flush=True)
    empty(folder)
    python, uv = str(folder / "bin/python"), str(folder / "bin/uv")
    installer, packages = str(REQUIREMENTS / "installer.lock"), str(REQUIREMENTS / f"{platform}.lock")
    run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder)], lock)
    run([python, "-I", "-m", "ensurepip", "--default-pip"], lock)  # venv itself would hide what goes wrong here
    run([python, "-I", "-m", "pip", "install", "--quiet", "--retries", "2", "--require-hashes", "-r", installer], lock)
    install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes"]
    run([*install, "--build-constraints", installer, "-r", packages], lock)


def empty(folder: Path) -> None:
    """Deletes everything in the folder but the lock, the stamp first."""
    (folder / ".ready").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != lock_file(folder):
            path.unlink()


def run(command: list[str], lock: int) -> None:
    """Runs a command from the repository's root, where no settings of another project are found.

    The command keeps the lock open: if this process is killed, the next one waits until the command too has ended.

    Raises:
        SetUpError: if the command fails, with the reason in one line.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    done = subprocess.run(
        command, env=environment, cwd=REQUIREMENTS.parent, pass_fds=[lock], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise failure(done.stdout)


def failure(output: str) -> SetUpError:
    """What the output of pip or uv means, in one line."""
    if FULL_DISK.search(output):
        return SetUpError("the disk is full: make room, or name a folder elsewhere by DLVR_VENV; then start again")
    if NO_NETWORK.search(output):
        return SetUpError("cannot download packages: is there a network? Start again once there is")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×"))]
    reason = (errors or lines[-1:] or ["no reason given"])[0]
    return SetUpError(f"Python {version()} ({sys.executable}) cannot make the environment: {reason}", ANOTHER_PYTHON)


def version() -> str:
    """This Python's version, as in 3.13.0."""
    return ".".join(map(str, sys.version_info[:3]))


def write_stamp(folder: Path, text: str) -> None:
    """Writes the stamp whole or not at all."""
    part = folder / ".ready.part"
    part.write_text(text)
    part.replace(folder / ".ready")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except SetUpError as error:
        print(error if error.status == ANOTHER_PYTHON else f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    except OSError as error:
        fault = failure(str(error)) if FULL_DISK.search(str(error)) else f"cannot set up {sys.argv[1]}: {error}"
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print("interrupted: the next launch.sh sets up anew", file=sys.stderr)
        sys.exit(INTERRUPTED)
