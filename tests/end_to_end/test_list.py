"""What `list` prints of the project's configs, and of one that is broken."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from dlvr_jax import config
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.results import write
from experiments.list import list_configs
from tests.reporting.test_results import result
from tests.reporting.test_studies_page import study_file


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cnn configs, with a result for one of them."""
    shutil.copytree(config.ROOT / "configs" / "cnn", tmp_path / "configs" / "cnn")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    write(tmp_path / "docs" / "results" / "lenet5_digits.json", dataclasses.replace(result(), flags={}))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def row(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(name + " "))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_every_config_of_the_project_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    list_configs([])
    text = capsys.readouterr().out
    for path in (config.ROOT / "configs").glob("*/[!_]*.py"):
        assert len(row(text, path.stem)) == 6


def test_model_parameters_data_budget_and_result(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_configs([])
    text = capsys.readouterr().out
    assert row(text, "cnn") == ["cnn", "model", "parameters", "data", "budget", "result"]
    assert row(text, "lenet5_digits") == [
        *("lenet5_digits", "LeNet5", "61,706", "digits", "60 epochs x 64", "accuracy 0.9883 ± 0.0076 in 1 min 10 s"),
    ]
    assert row(text, "lenet5_fashion_mnist")[-1] == "-"


def test_what_only_variants_flags_and_sweeps_reached_is_marked(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project / "docs" / "results"
    write(folder / "lenet5_digits-3.json", result(accuracies=(0.5,)))  # with flags, beside that of the fixture without
    write(folder / "lenet5_fashion_mnist-3.json", result("configs/cnn/lenet5_fashion_mnist.py:small", (0.9,)))
    (folder / "studies").mkdir()
    study_file(folder / "studies", "e5_3_rates", grid={"optimizer.learning_rate": (0.1, 0.2)})
    path = folder / "studies" / "e5_3_rates.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config": "configs/cnn/small_vgg_fashion_mnist.py"}))
    monkeypatch.setenv("COLUMNS", "200")
    list_configs([])
    text = capsys.readouterr().out
    assert row(text, "lenet5_digits")[-1] == "accuracy 0.9883 ± 0.0076 in 1 min 10 s"
    assert row(text, "lenet5_fashion_mnist")[-1] == "accuracy 0.9000 in 1 min 10 s (variant small, with flags)"
    assert (
        row(text, "small_vgg_fashion_mnist")[-1] == "validation/accuracy 0.6050 ± 0.0071, best of 2: learning_rate 0.2"
    )


def test_a_broken_config_shows_why_and_hides_no_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "configs" / "cnn" / "broken.py").write_text("def get_config(arg):\n    return 1 / 0\n")
    (project / "configs" / "rnn").mkdir()
    (project / "configs" / "rnn" / "wrong.py").write_text(
        (project / "configs" / "cnn" / "lenet5_digits.py").read_text().replace("cnn.lenet5.LeNet5", "cnn.lenet5.LeNet6")
    )
    with pytest.raises(UserError) as caught:
        list_configs([])
    assert caught.value.faults == (
        "configs/cnn/broken.py fails, as its row says",
        "configs/rnn/wrong.py fails, as its row says",
    )
    text = capsys.readouterr().out
    assert "ZeroDivisionError: division by zero" in " ".join(text.split())
    assert 'did you mean "cnn.lenet5.LeNet5"?' in " ".join(text.split())
    assert row(text, "lenet5_digits")[2] == "61,706"


def test_a_damaged_result_is_named_after_the_table(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "docs" / "results" / "lenet5_digits.json").write_text("{")
    with pytest.raises(UserError, match=r"lenet5_digits\.json: is no result that can be read"):
        list_configs([])
    assert row(capsys.readouterr().out, "lenet5_digits")[-1] == "-"


def test_a_damaged_study_hides_no_result(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "docs" / "results" / "studies").mkdir()
    (project / "docs" / "results" / "studies" / "e5_3_rates.json").write_text("{")
    with pytest.raises(UserError, match=r"e5_3_rates\.json"):
        list_configs([])
    assert row(capsys.readouterr().out, "lenet5_digits")[-1].startswith("accuracy 0.9883")


def test_on_80_columns_nothing_is_wider(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    list_configs([])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "LeNet5" in text and "SmallVGG" in text
