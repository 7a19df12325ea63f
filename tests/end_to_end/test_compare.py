"""`compare`: what differs in configs and results, and whether runs of one config are equal."""

import json
import shutil
from pathlib import Path

from tests.end_to_end.conftest import Launch
from tests.sweeps.made_up import made_up_sweep


def test_a_copy_is_equal(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    copy = shutil.copytree(tiny_run, tmp_path / "copy")
    done = call("compare", tiny_run, copy, tiny_run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split()[:2] == ["row", "run"] and "test/accuracy" in header and "learning_rate" not in header
    assert [row.split()[1] for row in rows[:2]] == ["tiny_run", "copy"]
    sha = json.loads((tiny_run / "summary.json").read_text())["params_sha256"]
    assert rows[0].endswith(sha[:12])
    assert f"checkpoints of steps 8, 12, 16 of {tiny_run} and {copy}" in done.stdout
    assert done.stdout.splitlines()[-1] == "page  runs/compare.html"
    page = (tmp_path / "runs/compare.html").read_text(encoding="utf-8")
    assert "Accuracy, validation" in page and "equal: parameters" in page


def test_the_first_step_and_leaf_that_differ_are_named(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    other = shutil.copytree(tiny_run, tmp_path / "other")
    for step in (12, 16):
        path = other / "checkpoints" / str(step) / "meta.json"
        meta = json.loads(path.read_text())
        leaf = sorted(name for name in meta["digests"] if "params" in name)[1]
        meta["digests"][leaf] = "0" * 64
        path.write_text(json.dumps(meta))
    done = call("compare", tiny_run, other, "--out", tmp_path / "page.html")
    assert done.returncode == 1
    assert f"not equal: {tiny_run} and {other}" in done.stdout
    assert f"checkpoints/12, {leaf}: " in done.stdout and "checkpoints/16" not in done.stdout
    assert (tmp_path / "page.html").exists()


def test_a_run_that_has_not_finished_is_compared_as_far_as_it_is(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    cut = shutil.copytree(tiny_run, tmp_path / "cut")
    (cut / "summary.json").unlink()
    shutil.rmtree(cut / "checkpoints" / "16")
    lines = (cut / "metrics.jsonl").read_text().splitlines(keepends=True)
    (cut / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= 12))
    done = call("compare", tiny_run, cut, "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checkpoints of steps 8, 12 of" in done.stdout
    assert done.stdout.splitlines()[2].split()[-2:] == ["-", "-"]


def test_the_members_of_a_population_have_rows_and_a_sweep_stands_for_its_runs(
    tiny_run: Path, tmp_path: Path, call: Launch
) -> None:
    what = {"grid": {"optimizer.learning_rate": (1e-3, 1e-2), "model.dropout": (None, 0.2)}, "seeds": (5,)}
    made_up_sweep(tmp_path / "sweep", what, lambda member: 0.5 + 0.1 * member.point)
    done = call("compare", tmp_path / "sweep", tiny_run, "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.split("\n\n")[0].splitlines()
    names = header.split()
    assert {"seed", "model.dropout", "optimizer.learning_rate", "validation/accuracy", "test/accuracy"} <= set(names)
    assert len(rows) == 5 and sum("member 0" in row for row in rows) == 2
    row = next(row for row in rows if "0.8000" in row)
    assert all(text in row for text in ("member 1", " 5 ", "0.2 ", "0.01 ", "0.2000"))


def test_what_is_no_run_is_an_error(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    for path, fault in [
        (tmp_path / "gone", "is not a run folder: there is no such folder"),
        (tmp_path, "is not a run folder: it has no config.json"),
        (tmp_path / "sweep", "is a sweep that has no run yet"),
    ]:
        done = call("compare", tiny_run, path)
        assert done.returncode == 1 and done.stderr == f"error: {path} {fault}\n"
