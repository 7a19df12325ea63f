"""Points found by optuna: asked for in generations of fixed size, so that they do not depend on how many work on them.

The study is kept nowhere. A sweep that goes on asks again, from the same seed, and tells what the run folders say.
"""

from collections.abc import Mapping, Sequence
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
        samplers = optuna.samplers
        sampler: Any = {
            "random": lambda: samplers.RandomSampler(seed=sweep.seed),
            "tpe": lambda: samplers.TPESampler(seed=sweep.seed, n_startup_trials=sweep.generation, constant_liar=True),
            "cma_es": lambda: samplers.CmaEsSampler(seed=sweep.seed),
        }[sweep.sampler]()
        self._study = optuna.create_study(direction="minimize" if direction == "lower" else "maximize", sampler=sampler)
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Settings]:
        """A generation of points."""
        self._asked = [self._study.ask() for _ in range(count)]
        return [as_text(self._suggested(trial)) for trial in self._asked]

    def tell(self, values: Sequence[float | None]) -> None:
        """The values of the points asked for last, in their order; None for one that failed."""
        import optuna

        for trial, value in zip(self._asked, values, strict=True):
            state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
            self._study.tell(trial, value, state)

    def _suggested(self, trial: Any) -> dict[str, Any]:
        """A value for each dimension whose condition holds."""
        chosen: dict[str, Any] = {}
        for key, dimension in self._space.items():
            if all(chosen.get(other) == value for other, value in dimension.get("only_if", {}).items()):
                chosen[key] = _suggest(trial, key, dimension)
        return chosen


def _suggest(trial: Any, key: str, dimension: Mapping[str, Any]) -> Any:
    kind, values = next((kind, values) for kind, values in dimension.items() if kind != "only_if")
    if kind == "choice":  # by number, since optuna keeps only plain values
        return values[trial.suggest_categorical(key, tuple(range(len(values))))]
    if kind == "integers":
        return trial.suggest_int(key, *values)
    return trial.suggest_float(key, *values, log=kind == "log_uniform")
