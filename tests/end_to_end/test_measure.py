"""`measure` over two seeds of a tiny config: its file, a second call, and what goes wrong."""

import json
import shutil
import statistics
from pathlib import Path

import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.metrics import feature_file
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.reporting.results import read
from dlvr_jax.run import Run
from experiments.measure import measure
from tests.metrics.small_features import written

TINY = "configs/cnn/lenet5_digits.py:tiny"
TWO = [TINY, "--seeds", "3-4", "--config.optimizer.learning_rate=0.003", "--out", "found/two.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two seeds have been measured."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert measure(TWO) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_the_file_says_what_the_runs_say() -> None:
    result = read(Path("found/two.json"))
    summaries = [Run(path).summary() or {} for path in sorted(Path("runs/cnn").iterdir())]
    assert sorted(result.params_sha256) == sorted(summary["params_sha256"] for summary in summaries)
    accuracies = [summary["metrics"]["test/accuracy"] for summary in summaries]
    assert result.metrics["test/accuracy"].std == pytest.approx(statistics.stdev(accuracies))
    assert (result.config, result.seeds, result.flags) == (TINY, [3, 4], {"optimizer.learning_rate": "0.003"})
    assert (result.metric, result.parameters, result.steps) == ("test/accuracy", 61_706, 16)
    assert result.command == f"./launch.sh measure {' '.join(TWO)}"


def test_finished_seeds_are_not_trained_again(capfd: pytest.CaptureFixture[str]) -> None:
    before = read(Path("found/two.json"))
    assert measure(TWO) == 0
    text = capfd.readouterr().out
    assert text.count("is finished\n") == 2 and "test/accuracy" in text and text.endswith("result  found/two.json\n")
    assert read(Path("found/two.json")).params_sha256 == before.params_sha256


def test_seeds_of_two_commits_are_measured_together_with_a_warning_and_those_of_two_versions_are_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    run = sorted(Path("runs/cnn").iterdir())[0]
    other = {"commit": "0" * 40, "dirty": False}
    for name in ("environment.json", "summary.json"):
        content = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({**content, "git": other}))
    assert measure(TWO) == 0
    assert "several commits" in capfd.readouterr().err
    commits = read(Path("found/two.json")).git
    assert len(commits) == 2 and other in commits
    environment = json.loads((run / "environment.json").read_text())
    environment["versions"]["jax"] = "0.0.1"
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(UserError, match=r"was made elsewhere .* versions.jax: "):
        measure(TWO)


def test_a_seed_that_fails_is_one_line_after_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^seed 0 failed \(exit code 1\) in runs/cnn/.*; the same command"):
        measure([TINY, "--seeds=0-1", "--config.optimizer.learning_rate=1e30", "--out", "found/bad.json"])
    out, err = capfd.readouterr()
    assert err.splitlines()[-1].startswith("error: step ") and "seed 1" not in out
    assert not Path("found/bad.json").exists()


def test_the_file_says_what_fid_rests_on_and_another_network_in_its_place_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = written(tmp_path / "net", shape=(28, 28, 1))
    flags = {
        "task.features": str(net),
        "task.trust_features": "true",
        "train.steps": "2",
        "train.checkpoint_every": "2",
    }
    given = [f"--config.{key}={value}" for key, value in flags.items()]
    command = ["configs/gan/mlp_gan_fashion_mnist.py:tiny", "--seeds=0", *given, "--out=found.json"]
    assert measure(command) == 0
    result = read(Path("found.json"))
    assert result.set_up is not None and result.metrics["test/nearest_training_real"].mean > 0
    assert result.set_up["sha256"] == FeatureNet(str(net)).digest and result.set_up["test_accuracy"] == 0.95
    assert (result.set_up["trained_on"], result.set_up["split"]) == ("made_up", "test")
    assert result.set_up["real_count"] == result.set_up["generated_count"] > 0 and len(result.set_up["real"]) == 12
    written(net, accuracy=0.96, shape=(28, 28, 1))
    feature_file.read.cache_clear()
    with pytest.raises(UserError, match=r"net is another network than judged runs/gan/.*; put that one back"):
        measure(command)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--seeds", "0-x"], "--seeds 0-x: is not of the form 0-4 or 0,3,7"),
        (["--seeds", "1,0-1"], "--seeds 1,0-1: names a seed twice"),
        (["--seeds", "2-1"], "--seeds 2-1: names no seed"),
        (["--config.seed=3"], "--config.seed: --seeds says which seeds are measured"),
        (["--config.train.steps=3"], "--out: is needed with --config flags"),
        (["--out", "found/two.json"], "--out found/two.json: holds a result of"),
        (["--out", "found"], "--out found: is a folder; give a file, as found/lenet5_digits-tiny.json"),
    ],
)
def test_mistakes_are_found_before_any_training(
    arguments: list[str], fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        measure([TINY, *arguments])
    assert len(caught.value.faults) == 1 and caught.value.faults[0].startswith(fault)
    assert capfd.readouterr() == ("", "")
