"""A sweep as a user has it: planned, trained, told, taken up again, and with weak points ended at a rung."""

import json
from pathlib import Path

import pytest

from dlvr_jax.run import Run
from tests.end_to_end.conftest import Launch

TINY = "configs/ebm/rbm_digits.py:tiny"
GRID = '{"optimizer.learning_rate": (1e-3, 1e-2), "model.hidden": (16, 8)}'
SEARCH = '{"optimizer.learning_rate": {"log_uniform": (1e-5, 1e-1)}}'
FAST = "--config.population.strategy=vmap"


def sweep_file(folder: Path, fields: str) -> Path:
    path = folder / "varied.py"
    path.write_text(f"def get_sweep(arg=''):\n    return dict({fields})\n")
    return path


def summaries(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*/summary.json"))]


def test_a_grid_is_as_few_programs_as_its_structures_and_is_trained_once(
    tmp_path: Path, launch: Launch, call: Launch
) -> None:
    file = sweep_file(tmp_path, f"seeds=(0, 1), grid={GRID}")
    command = ["sweep", TINY, "--sweep", file, "--workdir", tmp_path / "sweep", FAST]
    planned = call(*command, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "points: 4, trainings: 8, programs: 2" in planned.stdout and not (tmp_path / "sweep").exists()

    done = launch(*command, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert [len(summary["members"]) for summary in summaries(tmp_path / "sweep")] == [4, 4]
    assert "validation/pseudo_log_likelihood" in done.stdout

    before = summaries(tmp_path / "sweep")
    again = call(*command)
    assert again.returncode == 0 and summaries(tmp_path / "sweep") == before and "finished" not in again.stderr


def test_weak_points_are_ended_at_a_rung_and_the_others_go_on_together(tmp_path: Path, launch: Launch) -> None:
    pruned = "sampler='random', trials=6, generation=6, pruner='asha', rungs=(8,), metric='reconstruction_error'"
    fields = f"search={SEARCH}, {pruned}"
    folder = tmp_path / "sweep"
    done = launch("sweep", TINY, "--sweep", sweep_file(tmp_path, fields), "--workdir", folder, FAST)
    assert done.returncode == 0, done.stderr
    plans = [json.loads((folder / f"plan-00{number}.json").read_text()) for number in (0, 1)]
    first, second = ([member["point"] for job in plan["jobs"] for member in job] for plan in plans)
    assert first == [0, 1, 2, 3, 4, 5] and 0 < len(second) < 6 and plans[0]["until"] == 8
    finished = [run for path in (folder / "runs").iterdir() if (run := Run(path)).summary()]
    assert sum(len((run.summary() or {}).get("members", [0])) for run in finished) == len(second)
    assert all(run.metrics()[0]["step"] == 4 for run in finished)  # they were there from the beginning


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ('grid={"model.width": (1,)}', "model.width"),
        ('grid={"seed": (1, 2)}', "the field seeds"),
        ('grid={"population.strategy": ("map",)}', "the sweep varies this key"),
        ('grid={"mesh.data": (1, 2)}', "says only how a training runs"),
        ('grid={"population.size": (1, 2)}', "makes populations of its points by itself"),
        (f"search={SEARCH}, metric='beauty'", "no such metric"),
        (f"search={SEARCH}, pruner='asha', rungs=(3,)", "no multiple of train.eval_every"),
    ],
)
def test_what_cannot_be_swept_is_told_before_anything_is_done(
    tmp_path: Path, call: Launch, fields: str, says: str
) -> None:
    done = call("sweep", TINY, "--sweep", sweep_file(tmp_path, fields), "--workdir", tmp_path / "sweep", FAST)
    assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "sweep").exists()
