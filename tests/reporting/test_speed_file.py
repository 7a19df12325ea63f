"""The file of a benchmark holds the rows of one whole command; nothing of another one is lost or mixed in."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dlvr_jax import config
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.speed_file import kept

FILE = config.ROOT / "docs" / "results" / "benchmark" / "cpu.json"
ENVIRONMENT = {"device": {"kind": "cpu", "count": 1}, "versions": {"jax": "0.12.0"}, "git": {"commit": "a"}}


def row(name: str, **environment: dict[str, Any]) -> dict[str, Any]:
    """A real one, under another name."""
    return json.loads(FILE.read_text())["rows"][0] | {"config": name, "environment": ENVIRONMENT | environment}


FLAGS = row("a")["flags"]


def measure(
    out: Path, *rows: dict[str, Any], told: list[str] | None = None, command: str = "first", breaks: bool = False
) -> None:
    """A command that measures these rows, or is interrupted after them."""
    flags = {one["config"]: FLAGS for one in rows}
    with kept(out, command, flags, True, (told if told is not None else []).append) as keep:
        for one in rows:
            keep(copy.deepcopy(one))
        if breaks:
            raise KeyboardInterrupt


def rows_in(path: Path) -> list[str]:
    return [one["config"] for one in json.loads(path.read_text())["rows"]]


def test_a_file_is_there_when_all_is_measured_and_replaced_when_all_is_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    with kept(out, "first", {"a": FLAGS}, True, print) as keep:
        keep(row("a"))
        assert not out.exists() and [rows_in(path) for path in tmp_path.iterdir()] == [["a"]]
    measure(out, row("a"), row("b"), command="second")
    assert rows_in(out) == ["a", "b"] and json.loads(out.read_text())["command"] == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speed.json", "speed.svg"]


def test_a_command_that_is_interrupted_leaves_the_file_and_tells_where_its_own_rows_are(tmp_path: Path) -> None:
    out, told = tmp_path / "speed.json", list[str]()
    measure(out, row("a"), row("b"))
    before = out.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        measure(out, row("a"), row("b"), told=told, breaks=True)
    (partial,) = tmp_path.glob("speed.partial-*.json")
    assert out.read_bytes() == before and rows_in(partial) == ["a", "b"]
    assert str(partial) in told[0] and f"{out} is as it was" in told[0]


def test_rows_that_are_not_measured_again_are_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    measure(out, row("a"), row("b"))
    before = out.read_bytes()
    with pytest.raises(UserError, match=r"a row that this command does not measure, b --config.* beside PyTorch"):
        measure(out, row("a"))
    other = tmp_path / "other.json"
    other.write_text("[1]")
    with pytest.raises(UserError, match="other.json: is not a file of benchmark's"):
        measure(other, row("a"))
    assert out.read_bytes() == before and other.read_text() == "[1]" and not list(tmp_path.glob("*.partial*"))


def test_rows_of_a_command_that_ended_meanwhile_are_not_replaced(tmp_path: Path) -> None:
    out, told = tmp_path / "speed.json", list[str]()
    with pytest.raises(UserError, match="does not measure, b"), kept(out, "", {"a": FLAGS}, True, told.append) as keep:
        keep(row("a"))
        measure(out, row("b"))
    assert rows_in(out) == ["b"] and [rows_in(path) for path in tmp_path.glob("*.partial*")] == [["a"]]


def test_a_row_of_another_environment_says_so(tmp_path: Path) -> None:
    out, told = tmp_path / "speed.json", list[str]()
    measure(out, row("a"), row("b", versions={"jax": "0.13.0"}), row("c"), told=told)
    found = json.loads(out.read_text())
    assert found["versions"] == {"jax": "0.12.0"}
    assert [one.get("environment", {}).get("versions") for one in found["rows"]] == [None, {"jax": "0.13.0"}, None]
    assert told == ["b: not in the first row's environment, so it keeps its own (versions.jax: 0.12.0, now 0.13.0)"]
