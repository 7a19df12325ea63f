"""Paths that users give: the same run from every working directory."""

from pathlib import Path

import pytest

from dlvr_jax import check, config
from dlvr_jax.data.paths import resolved
from dlvr_jax.launch import Start

TINY = "configs/modern_rnn/lstm_shakespeare_1m.py:tiny"


def start(path: str) -> Start:
    source = config.find(TINY)
    flags = {"data.name": "text_file", "data.path": path}
    return Start(source, check.complete(config.load(source), flags))


def test_a_relative_data_path_is_recorded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("to be or not to be " * 100)
    monkeypatch.chdir(tmp_path)
    runs = [start(path) for path in ("text.txt", "./text.txt", str(tmp_path / "text.txt"))]
    assert {run.record(0)["config"]["data"]["path"] for run in runs} == {str(tmp_path.resolve() / "text.txt")}
    assert len({run.fingerprint for run in runs}) == 1


@pytest.mark.parametrize("path", ["gs://bucket/data", "~nobody_of_that_name/data", "a\0b"])
def test_what_is_no_path_here_stays_as_it_is(path: str) -> None:
    assert resolved(path) == path
