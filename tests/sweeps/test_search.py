"""Points found by optuna: the same for the same seed and values, within their ranges, better with each generation."""

import itertools
import math

import pytest

from dlvr_jax.sweeps.search import Search
from dlvr_jax.sweeps.space import Settings, Sweep
from dlvr_jax.tasks.task import Direction

SPACE = {
    "rate": {"log_uniform": (1e-4, 1.0)},
    "dropout": {"uniform": (0.0, 0.5)},
    "layers": {"integers": (1, 4)},
    "norm": {"choice": ("batch", None, (1, 2))},
    "decay": {"uniform": (0.0, 1.0), "only_if": {"norm": "batch"}},
}


def value(point: Settings) -> float:
    """Least at a rate of 0.01 and no dropout."""
    return (math.log10(float(point["rate"])) + 2) ** 2 + float(point["dropout"])


def searched(sampler: str, space=SPACE, generations: int = 4) -> list[list[Settings]]:
    search = Search(Sweep(search=space, sampler=sampler, generation=8, seed=3), "lower")
    asked = []
    for _ in range(generations):
        points = search.ask(8)
        search.tell({number: value(point) for number, point in points.items()})
        asked.append(list(points.values()))
    return asked


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_points_lie_in_the_space_and_come_again(sampler: str) -> None:
    found = searched(sampler)
    assert found == searched(sampler)
    for point in itertools.chain(*found):
        assert 1e-4 <= float(point["rate"]) <= 1 and 0 <= float(point["dropout"]) <= 0.5
        assert point["layers"] in ("1", "2", "3", "4") and point["norm"] in ("batch", "none", "(1, 2)")
        assert ("decay" in point) == (point["norm"] == "batch")


@pytest.mark.parametrize("sampler", ["tpe", "cma_es"])
def test_later_generations_are_better(sampler: str) -> None:
    numbers = {key: SPACE[key] for key in ("rate", "dropout")}
    means = [sum(map(value, points)) / 8 for points in searched(sampler, numbers, generations=6)]
    assert min(means[3:]) < means[0] / 2


def test_a_failed_point_is_no_obstacle() -> None:
    search = Search(Sweep(search=SPACE, generation=2), "higher")
    search.ask(2)
    search.tell({0: None, 1: 1.0})
    assert list(search.ask(2)) == [2, 3]


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_the_weak_are_ended_at_the_rungs_and_the_best_goes_on(pruner: str) -> None:
    sweep = Sweep(search=SPACE, generation=9, pruner=pruner, rungs=(10, 30))
    search = Search(sweep, "lower")
    search.tell(dict.fromkeys(search.ask(2), 0.5))
    values = {number: float(number * 5 % 11) for number in search.ask(9)}
    ended = search.prune(10, values)
    again = Search(sweep, "lower")
    again.tell(dict.fromkeys(again.ask(2), 0.5))
    assert again.ask(9) and again.prune(10, values) == ended  # as a sweep that goes on asks again
    assert min(values, key=values.__getitem__) not in ended
    assert bool(ended) == (pruner != "median")  # which is one of trainings that went on to the end
    search.tell({number: 0.1 for number in values if number not in ended})


def test_a_median_is_that_of_the_generations_before() -> None:
    search = Search(Sweep(search=SPACE, pruner="median", rungs=(10,)), "higher")
    values = {number: float(number) for number in search.ask(5)}
    assert search.prune(10, values) == []
    search.tell(dict(values))
    assert search.prune(10, dict(zip(search.ask(4), (0.5, 1.5, 2.5, 3.5), strict=True))) == [5, 6]


@pytest.mark.parametrize("pruner", ["asha", "hyperband"])
@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_who_goes_on_does_not_depend_on_the_order_of_asking(pruner: str, direction: Direction) -> None:
    found = []
    for order in (range(40), range(39, -1, -1), [number * 7 % 40 for number in range(40)]):
        search = Search(Sweep(search=SPACE, pruner=pruner, rungs=(10, 30, 75)), direction)
        search.ask(40)
        ended = search.prune(10, {number: float(number) for number in order})
        alive = {number: float(number) for number in order if number not in ended}
        found.append((ended, search.prune(30, alive)))
    assert found[0] == found[1] == found[2]
    third, others = found[0]
    if pruner == "asha":  # the best third; then, where the steps grow by 2.5, half of these
        assert third == list(range(13, 40) if direction == "lower" else range(27))
        assert len(others) == 7
    else:  # some brackets begin later
        assert 10 < len(third) < 27 and others


def test_what_is_not_a_number_is_ended() -> None:
    search = Search(Sweep(search=SPACE, pruner="asha", rungs=(10,)), "higher")
    assert search.prune(10, dict.fromkeys(search.ask(3), float("nan"))) == [0, 1, 2]
