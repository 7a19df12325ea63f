"""What a population gains: a step of all members in each form, beside the members' own steps one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import jax

from dlvr_jax.benchmarks.warm_step import Step, warm_step
from dlvr_jax.build import Experiment
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.strategy import Form, forms


@dataclass(frozen=True)
class Gain:
    """Median seconds of a step of all members."""

    one_after_the_other: float
    together: Mapping[Form, float]

    def ratio(self, form: Form) -> float:
        """How many times faster than one after the other."""
        return self.one_after_the_other / self.together[form]


def measure(alone: Experiment, population: Experiment, rounds: int) -> Gain:
    """All in turn, round after round, in one process; the first round warms up and does not count.

    `alone` is a member's training, `population` that of all, in the forms of the strategy that its config names; both
    with one step a call.
    """
    size, strategy = population.population.size, population.population.strategy
    steps: dict[Form | None, Step] = {None: warm_step(alone.task, alone, Placement.over(1))}
    for form in forms(size, population.devices, jax.local_device_count()):
        if strategy not in ("auto", form.strategy):
            continue
        placement = Placement.over(form.devices, members=True)
        steps[form] = warm_step(population.population_of(form), population, placement)
    taken: dict[Form | None, list[float]] = {form: [] for form in steps}
    for _ in range(1 + rounds):
        for which, step in steps.items():
            taken[which].append(sum(step() for _ in range(size)) if which is None else step())
    seconds = {which: median(times[1:]) for which, times in taken.items()}
    return Gain(seconds[None], {which: time for which, time in seconds.items() if which is not None})
