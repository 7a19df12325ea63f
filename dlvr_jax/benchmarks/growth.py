"""How the time of a training step grows with one number: batch size, width, depth, length, members."""

import math
from collections.abc import Sequence
from statistics import linear_regression, median

from dlvr_jax.benchmarks.warm_step import Step, warm_step
from dlvr_jax.build import Experiment
from dlvr_jax.choose_form import form_of
from dlvr_jax.training.sharding import Placement


def measure(steps: Sequence[Step], rounds: int) -> list[float]:
    """Median seconds of each, all in turn, round after round; the first round warms up and does not count."""
    taken = [[step() for step in steps] for _ in range(1 + rounds)]
    return [median(of_one) for of_one in zip(*taken[1:], strict=True)]


def slope(values: Sequence[float], seconds: Sequence[float]) -> float:
    """Of the straight line that fits log seconds over log values best: the power with which time grows."""
    return linear_regression([math.log(one) for one in values], [math.log(one) for one in seconds]).slope


def step_of(experiment: Experiment) -> tuple[Step, str]:
    """A step of a run, or of a population in the form that a training of it would take; and that form's name."""
    if not experiment.is_population:
        return warm_step(experiment.task, experiment, experiment.placement), "alone"
    form = form_of(experiment)[0]
    placement = Placement.over(form.devices, members=True)
    return warm_step(experiment.population_of(form), experiment, placement), str(form)
