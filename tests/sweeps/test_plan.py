"""Points become few programs, and each member of a program is the training of its point."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax import check, config
from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.sweeps.plan import Base, Job, plan
from dlvr_jax.sweeps.space import points_of, read

SOURCE = config.find("configs/cnn/lenet5_digits.py:tiny")
BASE = Base(SOURCE, config.load(SOURCE), {"train.batch_size": "8"})
RATE, WIDTHS = "optimizer.learning_rate", "model.widths"
NARROW, WIDE = (2, 4, 8, 8), (4, 8, 16, 16)


def planned(limit: int = 64, seeds=(0, 1), **fields) -> list[Job]:
    return plan(BASE, dict(enumerate(points_of(read(dict(fields), "f")))), seeds, lambda point: limit)


def test_hyper_and_seeds_share_a_program_and_structure_does_not() -> None:
    grid = {RATE: (1e-4, 1e-3, 1e-2, 1e-1), "model.dropout": (0.1, 0.2), WIDTHS: (NARROW, WIDE)}
    jobs = planned(grid=grid, seeds=(0, 1, 2, 3))
    assert [len(job.members) for job in jobs] == [32, 32]
    assert {job.shared[WIDTHS] for job in jobs} == {repr(NARROW), repr(WIDE)}


def test_what_is_absent_from_the_program_is_another_program() -> None:
    assert [len(job.members) for job in planned(grid={"model.dropout": (None, 0.1, 0.2)})] == [2, 4]


def test_a_member_is_the_training_of_its_point() -> None:
    points = ({RATE: 1e-3}, {RATE: 1e-2, "model.dropout": 0.3}, {})
    (job,) = planned(points=points)
    experiment = build(BASE.complete(job.flags).flat)
    for k, member in enumerate(job.members):
        alone = build(BASE.complete({key: repr(value) for key, value in points[member.point].items()}).flat)
        assert experiment.hypers[k] == alone.hyper
        assert experiment.seeds[k] == member.seed
        assert experiment.flat["train.batch_size"] == 8


def test_one_member_is_a_training_of_its_own() -> None:
    (job,) = planned(points=({RATE: 0.5},), seeds=(7,))
    assert job.flags == {RATE: "0.5", "seed": "7"}


@settings(deadline=None)  # a check of configs takes a moment, the first one more
@given(count=st.integers(1, 40), limit=st.integers(1, 12))
def test_programs_are_as_few_and_as_equal_as_can_be(count: int, limit: int) -> None:
    jobs = planned(limit, seeds=range(count), points=({RATE: 0.1}, {RATE: 0.2}))
    sizes = [len(job.members) for job in jobs]
    assert sum(sizes) == 2 * count and len(sizes) == -(-2 * count // limit)
    assert max(sizes) <= limit and max(sizes) - min(sizes) <= 1
    pairs = [(member.point, member.seed) for job in jobs for member in job.members]
    assert len(set(pairs)) == 2 * count


def test_halves_have_all_members_of_the_whole() -> None:
    (job,) = planned(grid={RATE: (0.1, 0.2, 0.3)}, seeds=(0,))
    one, other = job.halves()
    assert one.members + other.members == job.members and len(one.members) == 1


def test_the_faults_of_all_points_are_said_once() -> None:
    with pytest.raises(UserError) as error:
        planned(grid={RATE: (0.1, "x"), "model.dropout": (3.0, 0.1), "model.depth": (1,)})
    assert sorted(fault.partition(" ")[0] for fault in error.value.faults) == [
        "--config.model.depth:",
        "model.dropout",
        "optimizer.learning_rate",
    ]


def test_a_run_to_start_from_is_no_setting_and_what_starts_from_the_same_is_one_program() -> None:
    points = ({"from": "/some/run", RATE: 0.1}, {"from": "none", RATE: 0.1}, {"from": "/some/run", RATE: 0.2})
    jobs = planned(points=points)
    assert [(len(job.members), str(job.origin)) for job in jobs] == [(4, "/some/run"), (2, "None")]
    assert all("from" not in job.flags for job in jobs)
    assert check.complete(BASE.values, jobs[0].flags)
