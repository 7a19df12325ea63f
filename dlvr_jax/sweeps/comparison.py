"""Points of a sweep side by side: ranks, differences, fronts. Validation decides all of it, the test split nothing."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from dlvr_jax.reporting.results import Spread
from dlvr_jax.sweeps.collect import Judge, Point
from dlvr_jax.sweeps.space import Sweep


@dataclass(frozen=True)
class Comparison:
    """The points in the order in which they were asked for."""

    sweep: Sweep
    judge: Judge
    points: Sequence[Point]

    @cached_property
    def valued(self) -> list[Point]:
        """Those with a finite value, in the order in which they were asked for."""
        return [point for point in self.points if point.value is not None and math.isfinite(point.value.mean)]

    @cached_property
    def ranked(self) -> list[Point]:
        """Those with a value, from best to worst; those that lack seeds come last, equals as they were asked for."""
        return sorted(self.valued, key=self._order)

    @cached_property
    def ranks(self) -> dict[int, int]:
        """From 1 on, by the point's number; equal points share a rank."""
        orders = [self._order(point) for point in self.ranked]
        return {point.number: 1 + orders.index(order) for point, order in zip(self.ranked, orders, strict=True)}

    def difference(self, point: Point) -> Spread | None:
        """To the first point: of the values with the same seed, over the seeds that both have."""
        first = {row.seed: row.value for row in self.points[0].sound}
        pairs = [(row.value, first.get(row.seed)) for row in point.sound]
        found = [own - other for own, other in pairs if own is not None and other is not None]
        return Spread.over(found) if found else None

    @property
    def costs(self) -> dict[str, Callable[[Point], float | None]]:
        """What a value is paid with: seconds, and parameters where points differ in them."""
        differ = len({parameters(point) for point in self.valued}) > 1
        return {"seconds": seconds, "parameters": parameters} if differ else {"seconds": seconds}

    def front(self, cost: Callable[[Point], float | None]) -> list[Point]:
        """The points to which no other is better at no higher cost, or as good at a lower one."""
        found = [(point, cost(point) or 0.0, self._loss(point)) for point in self.valued]
        return [
            point
            for point, paid, loss in found
            if not any(a <= paid and b <= loss and (a, b) != (paid, loss) for _, a, b in found)
        ]

    def _order(self, point: Point) -> tuple[bool, float]:
        return len(point.sound) < len(self.sweep.seeds), self._loss(point)

    def _loss(self, point: Point) -> float:
        """The mean value, turned so that lower is better."""
        return mean(point) if self.judge.direction == "lower" else -mean(point)


def mean(point: Point) -> float:
    """The value of a point that has one."""
    return math.nan if point.value is None else point.value.mean


def seconds(point: Point) -> float | None:
    """Of one training, the mean over the seeds."""
    found = [row.seconds for row in point.sound if row.seconds is not None]
    return fmean(found) if found else None


def parameters(point: Point) -> int | None:
    """How many the model of this point has."""
    return next((row.parameters for row in point.sound), None)
