"""What `explain` prints, piped and at 80 columns, offline on an empty cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlvr_jax.config import ROOT
from tests.end_to_end.conftest import Launch

FASHION = "configs/cnn/lenet5_fashion_mnist.py"


def explain(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DLVR_CACHE": str(cache), "COLUMNS": "", "http_proxy": "http://localhost:1"}
    command = [sys.executable, "-m", "experiments.explain", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A config whose data would have to be fetched, with a flag of each kind."""
    cache = tmp_path_factory.mktemp("cache")
    done = explain(
        cache, FASHION, "--config.train.batch_size=64", "--config.model.dropout", "0.5", "--config.train.steps=400"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "warning: --config.train.steps replaces train.epochs of the config file\n"
    return done.stdout, cache


def row(text: str, first: str) -> list[str]:
    """The cells of the line that begins with `first`; two spaces part them."""
    (line,) = (line for line in text.splitlines() if line.split("  ")[0] == first)
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_every_key_its_value_who_set_it_and_what_it_takes(explained) -> None:
    text, _ = explained
    assert row(text, "train.batch_size") == ["train.batch_size", "64", "flag", "a whole number, at least 1"]
    assert row(text, "model.dropout") == ["model.dropout", "0.5", "flag", "a number, between 0 and 1, or none"]
    assert row(text, "train.epochs")[1:3] == ["none", "default"]
    assert row(text, "optimizer.schedule")[1:3] == ["cosine", "file"]
    assert row(text, "model.layout")[1:] == ["modern", "default", "one of '1998', 'modern'"]


def test_data_layers_length_operations_and_memory(explained) -> None:
    text, _ = explained
    assert row(text, "examples, train")[1] == "55,000"
    assert "28 x 28 x 1" in row(text, "each example")[1]
    assert "Ankle boot" in row(text, "classes")[1]
    assert row(text, "kept")[1] == "on the device, whole"
    (conv,) = (line.split() for line in text.splitlines() if line.startswith("  c1 "))
    assert conv[:3] == ["c1", "Conv", "156"] and "".join(conv[3:]) == "64x28x28x6"
    assert row(text, "all")[1] == "61,706"
    assert row(text, "training steps")[1] == "400" and row(text, "examples")[1] == "25,600"
    assert row(text, "evaluating an example")[1].endswith(" thousand")
    assert row(text, "training step")[1].endswith(" million")
    arguments = row(text, "arguments: state, data")[1].split()
    assert arguments[1] == "MiB" and 41 < float(arguments[0]) < 43  # 55,000 x 28 x 28 bytes, and the state


def test_no_data_is_fetched_or_prepared(explained) -> None:
    _, cache = explained
    assert [path.name for path in cache.iterdir()] == ["compiled"]


def test_costs_of_a_population_are_told_as_those_of_one_member(call: Launch) -> None:
    flags = ["--config.population.size=4", "--config.mesh.data=2"]  # which shares out the members, each whole
    alone, member = (call("explain", f"{FASHION}:tiny", *given).stdout for given in ([], flags))
    assert "memory (one member) of" in member and "(one member)" not in alone
    assert row(alone, "together") == row(member, "together")


def test_on_80_columns_nothing_is_wider_or_cut(call: Launch) -> None:
    done = call("explain", f"{FASHION}:tiny", env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "a number, between 0 and 1, or none" in " ".join(done.stdout.split())
    assert "…" not in done.stdout


def test_all_faults_at_once_with_the_nearest_names(call: Launch) -> None:
    done = call(
        "explain",
        FASHION,
        "--config.model.layuot=1998",
        "--config.optimizer.learning_rate=-1",
        "--config.train.steps=many",
        "--config.model.widths=[6,16]",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        'error: --config.model.layuot: no such key; did you mean "model.layout"?',
        "error: model.widths = '[6,16]' is not a list of 4 whole numbers",
        "error: optimizer.learning_rate = -1.0 must be at least 0",
        "error: train.steps = 'many' is not a whole number or none",
    ]


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    environment = {**os.environ, "DLVR_CACHE": str(tmp_path)}
    command = f"{sys.executable} -m experiments.list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")
