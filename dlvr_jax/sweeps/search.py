"""Points found by optuna: asked for in generations of fixed size, so that they do not depend on how many work on them.

The study is kept nowhere. A sweep that goes on asks again, from the same seed, and tells what the run folders say.
"""

from collections.abc import Mapping
from typing import Any

from dlvr_jax.sweeps.space import Settings, Sweep, as_text
from dlvr_jax.tasks.task import Direction


class Search:
    """Akiba et al. 2019, https://arxiv.org/abs/1907.10902: ask for points, tell their values."""

    def __init__(self, sweep: Sweep, direction: Direction) -> None:
        """`direction`: whether a lower or a higher value is better."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = sweep.search
        self._study = optuna.create_study(
            direction="minimize" if direction == "lower" else "maximize",
            sampler=_sampler(sweep),
            pruner=_pruner(sweep),
            study_name="sweep",  # by which Hyperband draws brackets: one made up anew would prune otherwise each time
        )
        self._trials: list[Any] = []  # of each point, by its number

    def ask(self, count: int) -> dict[int, Settings]:
        """A generation of points, by their numbers."""
        first = len(self._trials)
        self._trials += [self._study.ask() for _ in range(count)]
        return {number: as_text(self._suggested(self._trials[number])) for number in range(first, first + count)}

    def prune(self, step: int, values: Mapping[int, float]) -> list[int]:
        """Which points are to end, given the values of all that have reached this step."""
        for number, value in values.items():
            self._trials[number].report(value, step)
        ended = [number for number in values if self._trials[number].should_prune()]
        for number in ended:
            self._end(number, values[number], "PRUNED")
        return ended

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
        for key, dimension in self._space.items():
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


def _pruner(sweep: Sweep) -> Any:
    """Li et al. 2020 (ASHA), https://arxiv.org/abs/1810.05934, Li et al. 2018 (Hyperband), or worse than the median."""
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

    if sweep.pruner is None:
        return NopPruner()
    if sweep.pruner == "median":
        return MedianPruner(n_startup_trials=1)
    first, *others = sweep.rungs
    factor = max(round(others[0] / first), 2) if others else 3
    if sweep.pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor)
    return HyperbandPruner(min_resource=first, max_resource=sweep.rungs[-1] * factor, reduction_factor=factor)


def _suggest(trial: Any, key: str, dimension: Mapping[str, Any]) -> Any:
    kind, values = next((kind, values) for kind, values in dimension.items() if kind != "only_if")
    if kind == "choice":  # by number, since optuna keeps only plain values
        return values[trial.suggest_categorical(key, tuple(range(len(values))))]
    if kind == "integers":
        return trial.suggest_int(key, *values)
    return trial.suggest_float(key, *values, log=kind == "log_uniform")
