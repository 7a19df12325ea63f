"""Points found by optuna: asked for in generations of fixed size, so that they do not depend on how many work on them.

The study is kept nowhere. A sweep that goes on asks again, from the same seed, and tells what the run folders say.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from dlvr_jax.sweeps.space import Settings, Sweep, as_text
from dlvr_jax.tasks.task import Direction


class Search:
    """Akiba et al. 2019, https://arxiv.org/abs/1907.10902: ask for points, tell their values."""

    def __init__(self, sweep: Sweep, direction: Direction) -> None:
        """`direction`: whether a lower or a higher value is better."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._sweep, self._sign = sweep, 1 if direction == "lower" else -1
        self._study = optuna.create_study(
            direction="minimize" if direction == "lower" else "maximize",
            sampler=_sampler(sweep),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=1),
        )
        self._trials: list[Any] = []  # of each point, by its number

    def ask(self, count: int) -> dict[int, Settings]:
        """A generation of points, by their numbers."""
        first = len(self._trials)
        self._trials += [self._study.ask() for _ in range(count)]
        return {number: as_text(self._suggested(self._trials[number])) for number in range(first, first + count)}

    def prune(self, step: int, values: Mapping[int, float]) -> list[int]:
        """Which points are to end, given the values of all that have reached this step, in whatever order."""
        for number, value in values.items():
            self._trials[number].report(value, step)
        if self._sweep.pruner == "median":
            ended = [number for number in values if self._trials[number].should_prune()]
        else:
            ended = self._outdone(step, values)
        for number in ended:
            self._end(number, values[number], "PRUNED")
        return ended

    def _outdone(self, step: int, values: Mapping[int, float]) -> list[int]:
        """Successive halving: of those of a bracket that have come to this rung a part goes on, and at least the best.

        That part is the rung over the next one. ASHA (Li et al. 2020, https://arxiv.org/abs/1810.05934) is its form for
        trainings that reach a rung one by one; here they all do. In Hyperband (Li et al. 2018,
        https://arxiv.org/abs/1603.06560) a bracket may begin with it at a later rung, or never.
        """
        rung, factors = self._sweep.rungs.index(step), _factors(self._sweep.rungs)
        ended: list[int] = []
        for bracket in {self._bracket(number) for number in values}:
            own = [number for number in values if self._bracket(number) == bracket]
            if bracket <= rung:
                sound = [number for number in own if not math.isnan(values[number])]
                best = sorted(sound, key=lambda number: self._sign * values[number])
                ended += set(own) - set(best[: max(len(own) // factors[rung], 1)])
        return sorted(ended)

    def _bracket(self, number: int) -> int:
        """The rung at which a point is first compared: drawn, an early one more often than a late one."""
        if self._sweep.pruner != "hyperband":
            return 0
        rungs = self._sweep.rungs
        shares = [
            math.prod(_factors(rungs)[bracket:]) / (len(rungs) - bracket + 1) for bracket in range(len(rungs) + 1)
        ]
        return Random(f"{self._sweep.seed} {number}").choices(range(len(shares)), shares)[0]

    def tell(self, values: Mapping[int, float | None]) -> None:
        """The values of points that are trained to the end; None for one that failed."""
        for number, value in values.items():
            self._end(number, value, "FAIL" if value is None else "COMPLETE")

    def _end(self, number: int, value: float | None, how: str) -> None:
        import optuna

        self._study.tell(self._trials[number], None if how == "PRUNED" else value, optuna.trial.TrialState[how])

    def _suggested(self, trial: Any) -> dict[str, Any]:
        """A value for each dimension whose condition holds."""
        chosen: dict[str, Any] = {}
        for key, dimension in self._sweep.search.items():
            if all(chosen.get(other) == value for other, value in dimension.get("only_if", {}).items()):
                chosen[key] = _suggest(trial, key, dimension)
        return chosen


def _sampler(sweep: Sweep) -> Any:
    from optuna.samplers import CmaEsSampler, RandomSampler, TPESampler

    if sweep.sampler == "random":
        return RandomSampler(seed=sweep.seed)
    if sweep.sampler == "cma_es":
        return CmaEsSampler(seed=sweep.seed)
    return TPESampler(seed=sweep.seed, n_startup_trials=sweep.generation, constant_liar=True)


def _factors(rungs: Sequence[int]) -> list[int]:
    """How many trainings come to each rung for one that goes on: as the steps grow to the next rung."""
    growth = [max(round(after / before), 2) for before, after in pairwise(rungs)]
    return [*growth, growth[-1] if growth else 3]


def _suggest(trial: Any, key: str, dimension: Mapping[str, Any]) -> Any:
    kind, values = next((kind, values) for kind, values in dimension.items() if kind != "only_if")
    if kind == "choice":  # by number, since optuna keeps only plain values
        return values[trial.suggest_categorical(key, tuple(range(len(values))))]
    if kind == "integers":
        return trial.suggest_int(key, *values)
    return trial.suggest_float(key, *values, log=kind == "log_uniform")
