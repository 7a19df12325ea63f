"""The values by which a search goes on: of points all of whose trainings are sound."""

import dataclasses
from pathlib import Path

from dlvr_jax.launch import launch
from dlvr_jax.sweeps.collect import Judge, judged, rows
from dlvr_jax.sweeps.folder import Generation, SweepFolder
from dlvr_jax.sweeps.plan import plan
from tests.sweeps.made_up import base_of, made_up_sweep

RATE = "optimizer.learning_rate"
ACCURACY = Judge("accuracy", "higher", chosen=False)


def test_a_point_of_which_a_seed_has_failed_has_no_value(tmp_path: Path) -> None:
    what = {"grid": {RATE: (0.1, 0.2)}, "seeds": (0, 1)}
    made = made_up_sweep(tmp_path, what, lambda member: None if (member.point, member.seed) == (0, 1) else 0.5)
    (generation,) = made.folder.generations()
    assert judged(made.folder, made.base, generation, made.judge) == {1: 0.5}


def test_a_training_that_was_frozen_before_a_rung_has_no_value_there(tmp_path: Path) -> None:
    flags = {"optimizer.name": "sgd", "population.strategy": "vmap", "train.eval_every": "4", "train.log_every": "4"}
    base, points = base_of(flags=flags), {0: {RATE: "0.01"}, 1: {RATE: "1e38"}}
    generation = Generation(points, plan(base, points, (0,), lambda point: 2), until=8)
    (job,) = generation.jobs
    assert launch(dataclasses.replace(job.start(base, tmp_path / "runs"), until=8)) == 0
    folder = SweepFolder(tmp_path)
    assert judged(folder, base, generation, ACCURACY).keys() == {0}
    assert [row.failed for row in rows(folder, base, [job], ACCURACY)] == ["", "step 1 is not finite"]
