"""A training step that is compiled and warm, to be timed."""

import time
from collections.abc import Callable

import jax

from dlvr_jax.beginning import first_state
from dlvr_jax.build import Experiment
from dlvr_jax.tasks.task import Task
from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.sharding import Placement

Step = Callable[[], float]  # takes a step, of all members together; gives its seconds


def warm_step(task: Task, experiment: Experiment, placement: Placement) -> Step:
    """A step of the compiled program, one a call, on a batch that is there."""
    split = Split.place(experiment.training_batches(), placement)
    payload = split.first_call(1, task.micro)
    state = placement.state(first_state(experiment), task.micro)
    program = train_program(task, 1, state, split.resident, payload)
    holder = [state]

    def step() -> float:
        started = time.perf_counter()
        holder[0], sums = program(holder[0], split.resident, payload)
        jax.block_until_ready((holder[0], sums))
        return time.perf_counter() - started

    return step
