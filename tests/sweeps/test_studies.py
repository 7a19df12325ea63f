"""Every study in configs/studies: each point of each variant is a config that fits, and the plan is small."""

import pytest

from dlvr_jax import config
from dlvr_jax.sweeps.collect import judge_of
from dlvr_jax.sweeps.plan import Base, plan
from dlvr_jax.sweeps.search import Search
from dlvr_jax.sweeps.space import points_of, read

STUDIES = sorted(path.stem for path in (config.ROOT / "configs" / "studies").glob("e*.py"))


@pytest.mark.parametrize("arg", ["", ":tiny", ":full"])
@pytest.mark.parametrize("name", STUDIES)
def test_every_point_is_a_config_that_fits(name: str, arg: str) -> None:
    source = config.find(f"configs/studies/{name}.py{arg}")
    sweep, base = read(config.call(source, "get_sweep"), name), Base(source, config.load(source), {})
    points = list(Search(sweep, "lower").ask(sweep.generation).values()) if sweep.search else points_of(sweep)
    jobs = plan(base, dict(enumerate(points)), sweep.seeds, lambda point: 64)
    assert sweep.question.endswith("?")
    assert judge_of(base, sweep).metric
    assert sum(len(job.members) for job in jobs) == len(points) * len(sweep.seeds)


def test_there_is_a_study_of_each_chapter() -> None:
    assert {name[1:].partition("_")[0] for name in STUDIES} == set(map(str, range(5, 14)))
