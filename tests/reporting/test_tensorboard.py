"""TensorBoard events, and what drawing and logging must not import."""

import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dlvr_jax.reporting import tensorboard
from dlvr_jax.reporting.tensorboard import TensorBoard, write_tensorboard
from tests.reporting.made_up import lines, made_up_run

EVERYTHING = """
import sys
from pathlib import Path
from dlvr_jax.reporting.html import write_report
from dlvr_jax.reporting.tensorboard import write_tensorboard
from dlvr_jax.run import Run
run = Run(Path(sys.argv[1]))
write_report(run), write_tensorboard(run)
assert "torch" not in sys.modules and "matplotlib.pyplot" not in sys.modules
"""


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """The numbers in a folder's event files, by tag and step. A record: length, its checksum, data, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, dict[int, float]] = {}
    for path in folder.glob("events.*"):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_the_events_are_those_of_the_metrics(tmp_path: Path) -> None:
    run = made_up_run(tmp_path, displays={})
    folder = write_tensorboard(run)
    assert sorted(path.name for path in folder.iterdir()) == ["train", "validation"]
    expected = {line["step"]: line["loss"] for line in lines() if line["split"] == "train"}
    assert scalars(folder / "train")["loss"] == {
        step: struct.unpack("f", struct.pack("f", v))[0] for step, v in expected.items()
    }
    (folder / "train" / "stale").touch()
    write_tensorboard(run)
    assert not (folder / "train" / "stale").exists()
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_lines_are_on_the_disk_when_flushed_or_a_second_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"loss": 0.5, "note": "text", "nothing": None}
    with TensorBoard(tmp_path) as board:

        def written(step: int, split: str) -> tuple[dict[str, dict[int, float]], ...]:
            board.write({"step": step, "split": split, "member": 1, **numbers})
            return tuple(scalars(tmp_path / name / "member_1") for name in ("train", "validation"))

        first, second = {"loss": {3: 0.5}}, {"loss": {3: 0.5, 4: 0.5}}
        monkeypatch.setattr(tensorboard, "FLUSHED_EVERY", math.inf)
        assert written(3, "train") == (first, {})  # the first line at once
        assert written(3, "validation") == (first, {})
        board.flush()
        assert written(4, "train") == (first, first)
        monkeypatch.setattr(tensorboard, "FLUSHED_EVERY", 0)
        assert written(4, "validation") == (second, second)


def test_neither_tensorflow_nor_torch_is_imported(tmp_path: Path) -> None:
    for package in ("tensorflow", "torch"):
        (tmp_path / "fakes" / package).mkdir(parents=True)
        (tmp_path / "fakes" / package / "__init__.py").write_text(f"raise RuntimeError('{package} was imported')")
    run = made_up_run(tmp_path / "run")
    path = os.pathsep.join([str(tmp_path / "fakes"), str(Path.cwd())])
    command = [sys.executable, "-c", EVERYTHING, str(run.path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
