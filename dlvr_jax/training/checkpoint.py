"""States on disk: whole or absent, verified when read, written behind the loop's back. The only user of orbax.

checkpoints/<step>/state/      the leaves, by orbax
checkpoints/<step>/meta.json   a SHA-256 for each leaf and file, and what the loop wants to remember with its own
checkpoints/.tmp-<step>/       being written; what a killed process left here is removed
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax.errors import UserError

FORMAT = 3
Leaves = dict[str, np.ndarray]


class Checkpoints:
    """The checkpoints of one run; saves in order, one at a time, in a thread of its own."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def save(self, step: int, tree: Any, memory: Mapping[str, Any]) -> None:
        """Starts saving; waits only for the save before. The tree may be changed as soon as this returns.

        Raises:
            UserError: the save before this one failed. What was saved earlier is untouched.
        """
        self.wait()
        leaves = {name: np.array(leaf) for name, leaf in named_leaves(tree).items()}
        self._pending = self._thread.submit(self._write, step, leaves, dict(memory))

    def wait(self) -> None:
        """Until the last save is on disk; raises as `save` does."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """Waits, then ends the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _write(self, step: int, leaves: Leaves, memory: dict[str, Any]) -> None:
        temporary, final = self._folder / f".tmp-{step}", self._folder / str(step)
        try:
            temporary.mkdir(parents=True)
            _orbax().save(temporary.absolute() / "state", leaves)
            meta = {"format": FORMAT, "step": step, "digests": digests(leaves), "memory": memory}
            meta["files"] = _file_digests(temporary / "state")
            meta["memory_digest"] = _text_digest(memory)
            (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
            _force_to_disk(temporary)
            os.replace(temporary, final)
        except Exception as error:  # orbax wraps what the system says in errors of its own
            shutil.rmtree(temporary, ignore_errors=True)
            raise UserError(
                f"{final}: the checkpoint could not be written: {_first_line(error)}; earlier checkpoints are whole: "
                "make room, then give the same command again"
            ) from error
        for old in steps(self._folder)[: -self._keep]:
            remove(self._folder / str(old))


def remove(checkpoint: Path) -> None:
    """Takes a checkpoint away: at once out of sight, then off the disk, so that a kill leaves no half of it."""
    condemned = checkpoint.with_name(f".tmp-old-{checkpoint.name}")
    os.replace(checkpoint, condemned)
    shutil.rmtree(condemned, ignore_errors=True)


def clean(folder: Path) -> None:
    """Removes what a killed process left half-written."""
    for left in folder.glob(".tmp-*"):
        shutil.rmtree(left)


def steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, ascending."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def restore(
    folder: Path,
    like: Any,
    warn: Callable[[str], None],
    step: int | None = None,
    own: tuple[str, ...] = (),
) -> tuple[Any, dict[str, Any]] | None:
    """The newest checkpoint that is whole (or that of `step`), and its memory; None where there is none at all.

    `like` is a tree of the structure, shapes and dtypes that the state must have; `warn` is told of each damaged
    checkpoint that was passed over. Leaves whose names begin with one of `own` stay as they are in `like`.

    Raises:
        UserError: every checkpoint is damaged; or the state has another structure, with the first leaf that differs.
    """
    found = steps(folder) if step is None else [step]
    for number in reversed(found):
        try:
            leaves, memory = read(folder / str(number))
        except UserError as fault:
            warn(str(fault))
            continue
        return _fill(like, leaves, folder / str(number), own), memory
    if found:
        raise UserError(f"{folder}: no checkpoint is whole; remove the folder to train from the start")
    return None


def read(path: Path) -> tuple[Leaves, dict[str, Any]]:
    """The leaves of one checkpoint by name, and its memory. Raises UserError if it is damaged."""
    meta = read_meta(path)
    try:
        _check_files(path / "state", meta.get("files", {}))
        leaves: Leaves = {name: np.asarray(leaf) for name, leaf in _orbax().restore(path.absolute() / "state").items()}
    except UserError:
        raise
    except Exception as error:  # a damaged file shows up in orbax as almost any error
        raise UserError(f"{path} is damaged: {_first_line(error)}") from None
    found, saved = digests(leaves), meta["digests"]
    for name in sorted(found.keys() | saved.keys()):
        if found.get(name) != saved.get(name):
            raise UserError(f"{path} is damaged: {name} is not what was saved")
    return leaves, meta["memory"]


def read_meta(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: "digests" of its leaves, "memory". Raises UserError if that is damaged."""
    try:
        meta: dict[str, Any] = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            raise ValueError(f"it is of format {meta['format']}, not {FORMAT}")
        if not isinstance(meta["digests"], dict) or _text_digest(meta["memory"]) != meta["memory_digest"]:
            raise ValueError("meta.json is not what was saved")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {_first_line(error)}") from None
    return meta


def digests(leaves: Leaves) -> dict[str, str]:
    """SHA-256 of each leaf: dtype, shape and bytes."""
    return {name: _digest(np.asarray(leaf)) for name, leaf in sorted(leaves.items())}


def tree_digest(tree: Any) -> str:
    """SHA-256 of a whole tree, by the names and digests of its leaves in sorted order."""
    return _text_digest(digests(named_leaves(jax.device_get(tree))))


def named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by their path: 'state/params/c1/kernel'."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def _file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path from there."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _check_files(state: Path, saved: Mapping[str, str]) -> None:
    """Finds what is damaged before orbax does, whose threads then print tracebacks that nobody can catch."""
    found = _file_digests(state)
    for name, digest in saved.items():
        if found.get(name) != digest:
            what = "is not what was saved" if name in found else "is lost"
            raise UserError(f"{state.parent} is damaged: state/{name} {what}")


def _text_digest(content: Any) -> str:
    """SHA-256 of what JSON can write."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _force_to_disk(folder: Path) -> None:
    """So that after a power cut too, what has its name is whole."""
    for path in [*folder.rglob("*"), folder]:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _digest(leaf: np.ndarray) -> str:
    digest = hashlib.sha256(f"{leaf.dtype} {leaf.shape} ".encode())
    digest.update(leaf.tobytes())
    return digest.hexdigest()


def _fill(like: Any, leaves: Leaves, path: Path, own: tuple[str, ...]) -> Any:
    """`like` with the leaves read, but for its own."""
    wanted = named_leaves(like)
    leaves = {name: leaf for name, leaf in leaves.items() if not name.startswith(own)}
    leaves |= {name: leaf for name, leaf in wanted.items() if name.startswith(own)}
    for name in sorted(wanted.keys() | leaves.keys()):
        here = f"{leaves[name].dtype} {leaves[name].shape}" if name in leaves else "nothing"
        there = f"{wanted[name].dtype} {wanted[name].shape}" if name in wanted else "nothing"
        if here != there:
            raise UserError(f"{path}: {name} is {here} there, but {there} in this config")
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in wanted])


def _first_line(error: Exception) -> str:
    """The system's own word if there is one below the wrapping, else the first line of the message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]


def _orbax() -> Any:
    """For this process alone: the first of several writes whole leaves, and each reads them."""
    import orbax.checkpoint as ocp

    alone = ocp.options.MultiprocessingOptions(primary_host=jax.process_index(), active_processes={jax.process_index()})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)
