"""A run is a folder: everything that a reader or a program wants to know of one training is in it.

config.json        the complete config, who set each key, its fingerprint
environment.json   command, versions, device, CPU, flags, git, form: what the bits depend on
metrics.jsonl      a line for each logged window, evaluation and test
checkpoints/       states, by step
samples/           displays, by step
summary.json       what came out; its presence means finished; the report and TensorBoard events follow from all this
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlvr_jax import displays
from dlvr_jax.atomic_write import write_text
from dlvr_jax.errors import InUse, UserError

FORMAT = 1
TIMES = frozenset({"seconds", "examples_per_second"})  # what may differ between equal runs
KEYS: Mapping[str, Mapping[str, type]] = {  # what is read of them, by dotted names
    "config.json": {
        **{"config_file": str, "argument": str, "fingerprint": str, "config": dict, "origin": dict},
        **{"config.model.name": str, "config.data.name": str, "config.eval": dict},
        **{"from.run": str, "from.step": int},
    },
    "environment.json": {
        **{"command": str, "versions": dict, "device": dict, "cpu": dict, "flags": dict, "git": dict, "form": dict},
        **{"form.devices": int},
        **{"data": str, "resumed": list},
        **{"device.platform": str, "device.kind": str, "device.count": int, "cpu.model": str, "cpu.threads": int},
        **{"git.commit": str, "git.dirty": bool},
    },
    "summary.json": {
        **{"step": int, "metrics": dict, "params_sha256": str, "data": dict, "guarantee": str},
        **{"seconds": float, "examples": int, "parameters": int, "compiled": dict},
    },
}


FORM: Mapping[str, type] = {"form.strategy": str}  # of a population
EMPTY: Mapping[str, Any] = {"from": None, "git": {}}  # what may stand there in the place of all that


@dataclass(frozen=True)
class Run:
    """A run folder. Reading raises UserError where a file is missing or damaged, with its path."""

    path: Path
    writes: bool = True  # False of a process beside the one that does: then what writes does nothing

    @property
    def record(self) -> dict[str, Any]:
        """`config.json`: format, config_file, argument, fingerprint, config, origin."""
        return self._read("config.json")

    @property
    def config(self) -> dict[str, Any]:
        """The complete config, nested."""
        config: dict[str, Any] = self.record["config"]
        return config

    @property
    def environment(self) -> dict[str, Any]:
        """`environment.json`."""
        environment = self._read("environment.json")
        if _at(self.config, "population.size") not in (None, 1):
            self._check("environment.json", environment, FORM)
        return environment

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "config.json").exists()

    def summary(self) -> dict[str, Any] | None:
        """`summary.json`, or None for a run that has not finished."""
        return self._read("summary.json") if (self.path / "summary.json").exists() else None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes one of the JSON files whole, with the format's version."""
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / name, json.dumps({"format": FORMAT, **content}, indent=2) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; a last line cut short by a kill is left out."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return [line for number, text in enumerate(lines) if (line := _parse(text, path, number, len(lines)))]

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds a line, which every process sees at once; `sync_metrics` forces it to the disk."""
        if not self.writes:
            return
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json_line(line))

    def sync_metrics(self) -> None:
        """Forces all lines to the disk, so that what is written after them is never there without them."""
        if not self.writes:
            return
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            os.fsync(file.fileno())

    def cut_metrics(self, step: int) -> None:
        """Drops what a killed process wrote after the checkpoint of `step`, samples too, and the lines of a test."""
        if not self.writes:
            return
        kept = [line for line in self.metrics() if line["step"] <= step and line["split"] != "test"]
        write_text(self.path / "metrics.jsonl", "".join(map(json_line, kept)))
        for folder in (self.path / "samples").glob("*"):
            if folder.name.isdecimal() and int(folder.name) > step:
                shutil.rmtree(folder)

    def write_displays(self, step: int, shown: Mapping[str, displays.Display]) -> None:
        """Saves displays under `samples/<step>/`."""
        if not self.writes:
            return
        folder = self.path / "samples" / f"{step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, display in shown.items():
            displays.save(display, folder / f"{name}.npz")

    def displays(self) -> dict[str, displays.Display]:
        """The latest display of each name."""
        paths = sorted((self.path / "samples").glob("*/*.npz"))
        return {path.stem: displays.load(path) for path in paths}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the folder for this process. The lock is the kernel's: it goes when the process does.

        Raises:
            InUse: a live process holds the folder.
            UserError: it cannot be made or written.
        """
        from filelock import FileLock, Timeout

        if not self.writes:
            yield
            return
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise InUse(f"{self.path} is in use by another process; wait for it or stop it first") from None
        except OSError as error:
            why = "it is a link to nothing" if self.path.is_symlink() else error.strerror or error
            raise UserError(f"{self.path} cannot be written: {why}; choose another --workdir") from None
        try:
            yield
        finally:
            lock.release()

    def _lack(self, name: str) -> str:
        """Why a file is not there."""
        if (self.path / "sweep.json").exists():
            return f"it is a sweep; its runs are in {self.path / 'runs'}, and points.json says which is which"
        if self.path.is_dir():
            return f"it has no {name}"
        return "it is a file; give the folder that train writes" if self.path.exists() else "there is no such folder"

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.path} is not a run folder: {self._lack(name)}") from None
        except (ValueError, OSError) as error:
            raise UserError(f"{path} cannot be read: {error}; restore it or start the run anew elsewhere") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(f"{path} is not of format {FORMAT}: it was written by another version, or damaged")
        self._check(name, content, KEYS[name])
        return content

    def _check(self, name: str, content: Mapping[str, Any], keys: Mapping[str, type]) -> None:
        """Raises UserError for the first key whose value is of another kind."""
        for key, kind in keys.items():
            first = key.partition(".")[0]
            is_empty = first in EMPTY and content.get(first) == EMPTY[first]
            if not is_empty and not isinstance(_at(content, key), kind):
                path = self.path / name
                raise UserError(f"{path} is damaged at {key}; restore it or start the run anew elsewhere")


def _at(content: Any, key: str) -> Any:
    """What stands under a dotted key; None where nothing does."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def json_line(line: Mapping[str, Any]) -> str:
    """A line of `metrics.jsonl`. JSON has no NaN and no infinity: they are null, and NaN when they are read."""

    def sound(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps({key: sound(value) for key, value in line.items()}) + "\n"


def _parse(text: str, path: Path, number: int, count: int) -> dict[str, Any] | None:
    """A line of metrics; None for a last line cut short."""
    try:
        line = json.loads(text)
        if isinstance(line, dict) and isinstance(line.get("step"), int) and isinstance(line.get("split"), str):
            return {key: math.nan if value is None else value for key, value in line.items()}
    except ValueError:
        if number == count - 1:
            return None
    raise UserError(f"{path} is damaged at line {number + 1}; remove that line")
