"""How much of the variance of a value is due to each setting: functional ANOVA, Hutter et al. 2014, by optuna."""

from collections.abc import Sequence
from typing import Any

from dlvr_jax.reporting.point_plots import as_numbers, scale_of

METHOD = "fANOVA (Hutter et al. 2014): 64 random trees on the mean values"
LEAST = 8  # points


def importances(
    names: Sequence[str], columns: Sequence[Sequence[str]], values: Sequence[float], seed: int
) -> dict[str, float] | None:
    """The share of each setting, the largest first; `columns` has a setting's text for each point, in order of `names`.

    None where points or settings that vary are too few to say, or all values equal.
    """
    varied = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    if len(values) < LEAST or len(varied) < 2 or len(set(values)) < 2:
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    dimensions = {names[place]: _dimension(columns[place]) for place in varied}
    study = optuna.create_study()
    for point, value in enumerate(values):
        chosen = {name: parsed[point] for name, (parsed, _) in dimensions.items()}
        kinds = {name: kind for name, (_, kind) in dimensions.items()}
        study.add_trial(optuna.trial.create_trial(params=chosen, distributions=kinds, value=value))
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=64, seed=seed)
    )
    return {name: float(share) for name, share in found.items()}


def _dimension(column: Sequence[str]) -> tuple[Sequence[str | float], Any]:
    """A setting's values as optuna takes them, and of which kind they are; numbers by their places on an axis."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if as_numbers(column) is None:
        return column, CategoricalDistribution(tuple(dict.fromkeys(column)))
    return scale_of(column).places, FloatDistribution(0.0, 1.0)
