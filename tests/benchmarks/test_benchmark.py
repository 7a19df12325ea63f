"""Benchmark measures a config in a process of its own, keeps its figures and says in a line what it cannot do."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from dlvr_jax import check, config
from dlvr_jax.benchmarks.peak import sheet_peak
from dlvr_jax.benchmarks.plain import plain_flags
from dlvr_jax.benchmarks.row import _check_equal
from dlvr_jax.errors import UserError
from dlvr_jax.reporting import speed
from experiments.benchmark import LARGE, SMALL, benchmark

MOONS = "configs/ebm/energy_two_moons.py:tiny"
# What every reader of such a file may rely on.
KEYS = {"config", "seconds_per_step", "examples_per_second", "flops_per_step", "utilisation", "peak_bytes"}


def test_a_config_is_measured_and_its_figures_kept(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("dlvr_jax.benchmarks.row.LOOP_SECONDS", 0.1)
    monkeypatch.setenv("COLUMNS", "300")  # no name of an operation is broken
    out = tmp_path / "speed.json"
    monkeypatch.setenv("DLVR_CACHE", str(tmp_path / "cache"))  # where nothing is remembered yet
    given = ["--rounds", "2", "--profile", str(tmp_path / "profile"), "--config.mesh.data=none"]
    benchmark([MOONS, *given, "--out", str(out)])
    found = json.loads(out.read_text())
    assert {"device", "versions", "cpu", "date", "command"} <= set(found)
    (row,) = found["rows"]
    assert row["flags"]["mesh.data"] in ("1", "2", "4", "8") and row["compile_seconds"] > 0.1  # it is compiled anew
    assert set(row) >= KEYS | {"compile_seconds", "loop_overhead", "input_seconds", "checkpoint_stall_seconds"}
    assert 0 < row["seconds_per_step_p10"] <= row["seconds_per_step"] <= row["seconds_per_step_p90"]
    assert row["utilisation"] == pytest.approx(row["flops_per_step"] / row["seconds_per_step"] / row["measured_peak"])
    assert 0 < row["utilisation"] < 1 and row["compile_seconds"] < row["seconds_to_first_step"]
    assert len(row["operations"]) == 10 and list((tmp_path / "profile").rglob("perfetto_trace.json.gz"))
    ET.parse(out.with_suffix(".svg"))
    printed = capsys.readouterr().out
    assert "ebm/energy_two_moons" in printed and row["operations"][0]["what"].split(":")[0] in printed


@pytest.mark.parametrize("file", sorted((config.ROOT / "docs" / "results" / "benchmark").glob("*.json")), ids=str)
def test_the_files_of_this_project_have_every_key(file) -> None:
    rows = json.loads(file.read_text())["rows"]
    assert rows and all(set(row) >= KEYS for row in rows)
    assert len(speed.other_table(rows)[1]) == len(speed.training_table(rows)[1]) == len(rows)


def test_a_config_that_cannot_be_built_is_named(tmp_path) -> None:
    out = tmp_path / "speed.json"
    with pytest.raises(UserError, match=r"energy_two_moons.py:tiny: eval.best = beauty: no such metric"):
        benchmark([MOONS, "--rounds", "2", "--out", str(out), "--config.eval.best=beauty"])
    assert not out.exists()


def test_a_file_stays_as_it_was_where_a_config_fails(tmp_path, monkeypatch) -> None:
    out = tmp_path / "speed.json"
    known = json.loads((config.ROOT / "docs/results/benchmark/cpu.json").read_text())["rows"][0]
    found = [(MOONS, known | {"environment": {}}), (MOONS, UserError("too large"))]
    monkeypatch.setattr("experiments.benchmark.measured", lambda *_: (each for each in found))
    with pytest.raises(UserError, match="too large"):
        benchmark([MOONS, "--out", str(out)])
    assert not out.exists() and list(tmp_path.glob("speed.partial-*.json"))


@pytest.mark.parametrize("lines", [0, 1], ids=["compiling", "measuring"])
def test_sigterm_ends_it_at_once_and_leaves_no_folder_behind(tmp_path, lines: int) -> None:
    command = [sys.executable, "-m", "experiments", "benchmark", MOONS]
    environment = {**os.environ, "PYTHONPATH": str(config.ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=config.ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not list(tmp_path.iterdir()) and process.poll() is None:
            time.sleep(0.01)
        told = [process.stderr.readline() for _ in range(lines)]
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM, rest
    assert all("is compiled" in line for line in told) and rest.count("is compiled") < 2 and "Traceback" not in rest
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--out", "speed.txt"], "--out speed.txt: must end in .json"),
        (["--out", "/dev/null/speed.json"], "/dev/null/speed.json: /dev/null is no folder"),
        (["--rounds", "1"], "--rounds 1: must be between"),
        (["--prepare", "0"], "--prepare 0: must be"),
        (["--config.train.batch_sice=3"], "train.batch_sice"),
        (["--against", "caffe"], "--against"),
    ],
)
def test_what_is_not_understood_is_a_line(arguments: list[str], fault: str) -> None:
    with pytest.raises(UserError, match=re.escape(fault)):
        benchmark([MOONS, *arguments])


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is here")
def test_without_pytorch_a_comparison_says_how_to_get_it_and_measures_ours(monkeypatch, capsys) -> None:
    peers = []

    def measured(flags, settings) -> Iterator[None]:
        peers.append(settings.peer_python)
        yield from ()

    monkeypatch.setattr("experiments.benchmark.measured", measured)
    monkeypatch.delenv("DLVR_TORCH_PYTHON", raising=False)
    benchmark([MOONS, "--against", "torch"])
    assert peers == [None]
    assert re.search(r"lacks PyTorch or transformers; install .*ours alone", capsys.readouterr().err.replace("\n", " "))


def test_a_python_that_is_named_must_have_pytorch(monkeypatch) -> None:
    monkeypatch.setenv("DLVR_TORCH_PYTHON", "/bin/echo")
    with pytest.raises(UserError, match="/bin/echo lacks PyTorch"):
        benchmark([MOONS, "--against", "torch"])
    monkeypatch.setenv("DLVR_TORCH_PYTHON", "/no/such/python")
    with pytest.raises(UserError, match="DLVR_TORCH_PYTHON=/no/such/python: cannot be run"):
        benchmark([MOONS, "--against", "torch"])


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_a_comparison_leaves_out_what_peers_do_not_have(name: str) -> None:
    source, own = config.load(config.find(name)), {**SMALL, **LARGE}[name]
    flags = plain_flags(check.complete(source, own).flat)
    assert plain_flags(check.complete(source, {**own, **flags}).flat) == {}


def test_unequal_sides_are_not_compared() -> None:
    ours = {"parameters": 10, "first_loss": 1.0, "precision": "float32", "devices": 1}
    _check_equal(ours, {"parameters": 10, "first_loss": 1.0001})
    _check_equal(ours, {"parameters": 10, "first_loss": None})  # of a step that draws its own noise
    with pytest.raises(UserError, match="10 parameters here, 11 in the peer"):
        _check_equal(ours, {"parameters": 11, "first_loss": 1.0})
    with pytest.raises(UserError, match="the first loss is 1 here, 1.1 in the peer"):
        _check_equal(ours, {"parameters": 10, "first_loss": 1.1})


def test_data_sheets_go_by_the_longest_name() -> None:
    assert sheet_peak("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert sheet_peak("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
    assert sheet_peak("NVIDIA A100-SXM4-80GB", "float32") == 156e12
    assert sheet_peak("NVIDIA L40S", "bfloat16") == 362e12 and sheet_peak("NVIDIA L40", "bfloat16") is None
    assert sheet_peak("TPU v5 lite", "bfloat16") == 197e12 and sheet_peak("TPU v5", "bfloat16") == 459e12
    assert sheet_peak("cpu", "float32") is None
