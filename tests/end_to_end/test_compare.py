"""`compare`: what differs in configs and results, and whether runs of one config are equal."""

import json
import shutil
from pathlib import Path

import pytest

from dlvr_jax.side_by_side import Training, comparable
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


def judged(run: Path, to: Path, fid: float, **set_up: float) -> Path:
    """A copy of a run, as if a feature network had judged it."""
    shutil.copytree(run, to)
    figures = {"fid": fid, **{f"set_up/{name}": value for name, value in set_up.items()}}
    lines = [json.loads(line) for line in (to / "metrics.jsonl").read_text().splitlines()]
    lines = [{**line, **(figures if line["split"] != "train" else {})} for line in lines]
    (to / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = json.loads((to / "summary.json").read_text())
    summary["metrics"] |= {f"test/{name}": value for name, value in figures.items()}
    (to / "summary.json").write_text(json.dumps(summary))
    return to


def test_figures_of_unlike_set_ups_are_not_shown_side_by_side(tiny_run: Path, tmp_path: Path, call: Launch) -> None:
    one = judged(tiny_run, tmp_path / "one", 2.3, network=0xC0FFEE, real_count=10_000.0)
    same = judged(tiny_run, tmp_path / "same", 2.4, network=0xC0FFEE, real_count=10_000.0, training_count=5000.0)
    other = judged(tiny_run, tmp_path / "other", 9.9, network=0xBEEF, real_count=10_000.0)
    done = call("compare", one, same, tiny_run, "--out", tmp_path / "page.html")
    assert done.stderr == "" and "Fid, validation" in (tmp_path / "page.html").read_text(encoding="utf-8")
    done = call("compare", one, same, other, "--out", tmp_path / "page.html")
    why = "fid; other was judged otherwise than one, by network (000000c0ffee and 00000000beef)"
    assert done.stderr == f"warning: not shown side by side: {why}\n"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Fid, validation" not in page and "Accuracy, validation" in page and why in page


@pytest.mark.parametrize("count", [1000.0, 10_000.0])
def test_the_main_metric_is_left_out_of_the_table_as_well(count: float) -> None:
    def training(name: str, count: float) -> Training:
        figures = {"loss": 0.5, "fid": 3.0, "class_agreement/guidance_1": 0.9, "set_up/generated_count": count}
        tested = {f"test/{metric}": value for metric, value in figures.items()}
        return Training(name, {"eval.best": "fid"}, [{"step": 1, "split": "validation"}], {"metrics": tested}, 1.0, 1)

    found, why = comparable([training("a", 10_000.0), training("b", count)])
    if count == 10_000:
        assert why is None and found[1].measured == {"test/fid": 3.0}
    else:
        assert why is not None and "class_agreement/guidance_1, fid; b was" in why and "(10000 and 1000)" in why
        assert found[0].measured == {} and "test/loss" in found[0].outcome["metrics"]
