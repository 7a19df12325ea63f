"""TensorBoard events, from the lines of `metrics.jsonl`: during a run, and again from the folder alone.

One folder per split (and per member of a population), so that TensorBoard draws train and validation into one chart.
"""

import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from dlvr_jax.reporting.readable import NOT_METRICS
from dlvr_jax.run import Run

FLUSHED_EVERY = 1.0  # seconds


class TensorBoard:
    """Writes lines of `metrics.jsonl` as they come. No thread, no queue.

    What was written is on the disk after `flush`, and after a line that comes a second or more after the last time.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: the run's `tensorboard/`; what is in it stays."""
        self._folder = folder
        self._writers: dict[Path, Any] = {}
        self._flushed = -math.inf

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def write(self, line: Mapping[str, Any], wall_time: float | None = None) -> None:
        """Adds the numbers of one line at its step. `wall_time`: seconds since 1970, by default now."""
        event_files, proto = _modules()
        folder = self._folder / line["split"]
        if "member" in line:
            folder = folder / f"member_{line['member']}"
        if folder not in self._writers:
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[folder] = event_files.EventsWriter(str(folder / "events"))
        event = proto.Event(step=line["step"], wall_time=time.time() if wall_time is None else wall_time)
        for name, value in line.items():
            if name not in NOT_METRICS and isinstance(value, int | float):
                event.summary.value.add(tag=name, simple_value=value)
        self._writers[folder].write_event(event)
        if time.monotonic() - self._flushed >= FLUSHED_EVERY:
            self.flush()

    def flush(self) -> None:
        """Forces all lines to the disk."""
        for writer in self._writers.values():
            writer.flush()
        self._flushed = time.monotonic()


def write_tensorboard(run: Run) -> Path:
    """Makes the run's `tensorboard/` anew from its `metrics.jsonl`; returns the folder.

    Times count from the start of the run, as the lines tell them.
    """
    folder, fresh = run.path / "tensorboard", run.path / ".tensorboard.tmp"
    shutil.rmtree(fresh, ignore_errors=True)
    start = (run.path / "config.json").stat().st_mtime
    with TensorBoard(fresh) as board:
        for line in run.metrics():
            board.write(line, start + float(line.get("seconds", 0.0)))
    fresh.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return folder


def _modules() -> tuple[ModuleType, ModuleType]:
    """The file format and messages of tensorboardX, which would import torch (seconds) for nothing."""
    with _absent("torch"):
        from tensorboardX import event_file_writer
        from tensorboardX.proto import event_pb2
    return event_file_writer, event_pb2


@contextmanager
def _absent(module: str) -> Iterator[None]:
    """Makes `import module` fail as if it were not installed, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
