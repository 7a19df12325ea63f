"""`evaluate` and `report` on a run folder."""

import json
import shutil
from pathlib import Path

from tests.end_to_end.conftest import TINY, Launch


def summary(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())


def test_the_test_metrics_come_out_again_bit_for_bit(tiny_run: Path, launch: Launch) -> None:
    done = launch("evaluate", tiny_run, env={"NPROC": "1"})  # the recorded threads count, not these
    assert done.returncode == 0, done.stderr
    _, *lines, last = done.stdout.splitlines()
    printed = {name: float(value) for name, value in (line.split() for line in lines)}
    assert printed == {name: value for name, value in summary(tiny_run)["metrics"].items() if name.startswith("test/")}
    assert last == "equal to the summary"


def test_an_earlier_checkpoint_on_another_split(tiny_run: Path, call: Launch) -> None:
    done = call("evaluate", tiny_run, "--split", "validation", "--step", 8)
    first, *lines = done.stdout.splitlines()
    assert "step 8" in first
    printed = {name: float(value) for name, value in (line.split() for line in lines)}
    logged = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    there = next(line for line in logged if line["split"] == "validation" and line["step"] == 8)
    assert printed["validation/loss"] == there["loss"]


def test_figures_that_are_not_the_summarys_are_told(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    changed = summary(run)
    changed["metrics"]["test/accuracy"] = 0.1234
    (run / "summary.json").write_text(json.dumps(changed))
    told = call("evaluate", run).stdout.splitlines()[-1]
    assert told == "1 differ from the summary, first test/accuracy: 0.1234 there"


def test_the_report_comes_out_again(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "report.html").unlink()
    shutil.rmtree(run / "tensorboard")
    done = call("report", run)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").read_text().startswith("<!")
    assert any((run / "tensorboard").rglob("events*"))


def test_a_report_lost_to_a_kill_is_made_by_the_same_command(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "report.html").unlink()
    done = call("train", TINY, "--workdir", run)
    assert done.returncode == 0 and "is finished" in done.stdout
    assert (run / "report.html").exists()
