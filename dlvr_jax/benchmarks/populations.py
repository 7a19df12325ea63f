"""What a population gains: a step of all members in each form, beside the members' own steps one after the other."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax
import numpy as np

from dlvr_jax.build import Experiment
from dlvr_jax.tasks.task import Task
from dlvr_jax.training.compiled import initial_state, train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.population import stacked
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.strategy import Form, forms

Step = Callable[[], float]  # seconds of a step


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
    steps: dict[Form | None, Step] = {None: _step(alone.task, alone, Placement.over(1))}
    for form in forms(size, population.devices, jax.local_device_count()):
        if strategy not in ("auto", form.strategy):
            continue
        placement = Placement.over(form.devices, members=True)
        steps[form] = _step(population.population_of(form), population, placement)
    taken: dict[Form | None, list[float]] = {form: [] for form in steps}
    for _ in range(1 + rounds):
        for which, step in steps.items():
            taken[which].append(sum(step() for _ in range(size)) if which is None else step())
    seconds = {which: median(times[1:]) for which, times in taken.items()}
    return Gain(seconds[None], {which: time for which, time in seconds.items() if which is not None})


def _step(task: Task, experiment: Experiment, placement: Placement) -> Step:
    """A step of the compiled program, warm, on a batch that is there."""
    many = experiment.is_population
    seed: Any = np.array(experiment.seeds, np.uint32) if many else experiment.seed
    hyper = stacked(experiment.hypers) if many else experiment.hyper
    split = Split.place(experiment.training_batches(), placement)
    payload = split.first_call(1, task.micro)
    state = placement.state(initial_state(task, seed, hyper, experiment.example_batch), task.micro)
    program = train_program(task, 1, state, split.resident, payload)
    holder = [state]

    def step() -> float:
        started = time.perf_counter()
        holder[0], sums = program(holder[0], split.resident, payload)
        jax.block_until_ready((holder[0], sums))
        return time.perf_counter() - started

    return step
