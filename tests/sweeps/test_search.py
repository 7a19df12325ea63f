"""Points found by optuna: the same for the same seed and values, within their ranges, better with each generation."""

import itertools
import math

import pytest

from dlvr_jax.sweeps.search import Search
from dlvr_jax.sweeps.space import Settings, Sweep

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
        asked.append(search.ask(8))
        search.tell([value(point) for point in asked[-1]])
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
    search.tell([None, 1.0])
    assert len(search.ask(2)) == 2
