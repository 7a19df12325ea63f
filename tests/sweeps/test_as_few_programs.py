"""A sweep of 64 trainings is two programs, and its values are those of the same 64 trainings alone."""

from pathlib import Path
from statistics import stdev

import pytest

from dlvr_jax import config
from dlvr_jax.run import Run
from dlvr_jax.sweeps.collect import judge_of, points
from dlvr_jax.sweeps.folder import SweepFolder
from dlvr_jax.sweeps.plan import Base
from dlvr_jax.sweeps.space import read
from experiments.train import train
from tests.end_to_end.conftest import run_verb

TINY = "configs/rnn/elman_births.py:tiny"
FLAGS = {"train.steps": "200", "train.eval_every": "100", "train.checkpoint_every": "100"}
FIELDS = """dict(
    seeds=(0, 1, 2, 3),
    grid={
        "optimizer.learning_rate": (0.005, 0.01, 0.02, 0.04),
        "optimizer.weight_decay": (0.001, 0.1),
        "model.width": (8, 16),
    },
)"""


@pytest.mark.slow
def test_64_trainings_are_two_programs_and_agree_with_trainings_alone(tmp_path: Path) -> None:
    plan, folder, cache = tmp_path / "plan.py", tmp_path / "sweep", tmp_path / "cache"
    plan.write_text(f"def get_sweep(arg=''):\n    return {FIELDS}\n")
    flags = {**FLAGS, "population.strategy": "vmap"}
    given = [f"--config.{key}={value}" for key, value in flags.items()]
    done = run_verb("sweep", TINY, "--sweep", plan, "--workdir", folder, *given, env={"DLVR_CACHE": str(cache)})
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "runs").iterdir())) == 2
    # Of all processes: for each width the population's step, and one alone, by which the plan estimates.
    assert len(list((cache / "compiled").glob("jit__step-*"))) == 2 + 2

    source = config.find(TINY)
    base, sweep = Base(source, config.load(source), flags), read(config.call(config.find(str(plan)), "get_sweep"), "")
    found = points(SweepFolder(folder), base, judge_of(base, sweep))
    assert sum(len(point.rows) for point in found) == 64
    for point in found:
        settings = [f"--config.{key}={value}" for key, value in {**FLAGS, **point.settings}.items()]
        spread = stdev(row.value for row in point.rows if row.value is not None)
        for row in point.rows:
            alone = tmp_path / f"alone-{point.number}-{row.seed}"
            assert train([TINY, "--workdir", str(alone), f"--config.seed={row.seed}", *settings]) == 0
            best = min(line["loss"] for line in Run(alone).metrics() if line["split"] == "validation")
            assert row.value is not None and abs(row.value - best) < spread / 10, (point.settings, row.seed)
