"""What a sweep may say, and what it means."""

import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.sweeps.space import points_of, read

RATE, WIDTH = "optimizer.learning_rate", "model.width"


def test_points_are_combined_with_the_grid_in_the_order_in_which_they_are_written() -> None:
    sweep = read(dict(points=({"a": "x"}, {"a": "y", "b": None}), grid={RATE: (1e-3, 2), WIDTH: (4, 8)}), "f")
    points = points_of(sweep)
    assert len(points) == 8
    assert points[0] == {"a": "x", RATE: "0.001", WIDTH: "4"}
    assert points[-1] == {"a": "y", "b": "none", RATE: "2", WIDTH: "8"}
    assert sweep.keys == ["a", "b", RATE, WIDTH]


def test_texts_in_lists_keep_their_letters() -> None:
    (point,) = points_of(read(dict(points=({"a": ("Max", None), "b": True},), seeds=(0, 1)), "f"))
    assert point == {"a": "('Max', None)", "b": "true"}


def test_equal_points_are_one() -> None:
    assert points_of(read(dict(points=({"a": 1}, {"a": 1}, {"a": 2})), "f")) == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "must return a dictionary"),
        ({"gird": {}}, 'did you mean "grid"'),
        ({}, "varies nothing"),
        ({"grid": {RATE: 1e-3}}, f"grid {RATE}: must be a list"),
        ({"grid": {RATE: ()}}, f"grid {RATE}: must be a list"),
        ({"points": {"a": 1}}, "must be a list of dictionaries"),
        ({"seeds": (0, 0)}, "none twice"),
        ({"seeds": ()}, "at least one"),
        ({"seeds": (-1,)}, "between 0 and"),
        ({"search": {RATE: (1, 2)}}, "must be a dictionary"),
        ({"search": {RATE: {"normal": (0, 1)}}}, "must have one of log_uniform"),
        ({"search": {RATE: {"uniform": (2, 1)}}}, "in this order"),
        ({"search": {RATE: {"log_uniform": (0, 1)}}}, "must be above 0"),
        ({"search": {RATE: {"uniform": (0, 1), "only_if": {"a": 1}}}}, "a is no dimension before this one"),
        ({"search": {RATE: {"uniform": (0, 1)}}, "grid": {"a": (1, 2)}}, "give one kind"),
        ({"search": {RATE: {"uniform": (0, 1)}}, "sampler": "annealing"}, "is not one of 'random'"),
        ({"grid": {"a": (1, 2)}, "members": 0}, "at least 1"),
        ({"grid": {"a": (1, 2)}, "pruner": "asha", "rungs": (4,)}, "with a search"),
        ({"search": {RATE: {"uniform": (0, 1)}}, "pruner": "median"}, "go together"),
        ({"search": {RATE: {"uniform": (0, 1)}}, "pruner": "median", "rungs": (8, 4)}, "ascending"),
    ],
)
def test_what_is_wrong_is_said(found: object, says: str) -> None:
    with pytest.raises(UserError, match="f: get_sweep") as error:
        read(found, "f")
    assert says in str(error.value)


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(UserError) as error:
        read({"gird": {}, "seeds": (0.5,), "trials": 0}, "f")
    assert len(error.value.faults) == 3
