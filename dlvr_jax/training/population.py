"""Many trainings as one program: a leading member axis on the state, one step for all.

The data that is resident on the device is shared; indices are each member's own, or shared where its rank says so.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from dlvr_jax import runtime
from dlvr_jax.data.batches import assemble
from dlvr_jax.tasks.task import Batch, Hyper, State, Sums, Task


def initial_states(task: Task, seeds: Sequence[int], hypers: Sequence[Hyper], batch: Batch) -> State:
    """The members' states, stacked. Every hyper must have the same keys, and None at the same ones."""
    stacked = jax.tree.map(lambda *numbers: np.array(numbers, np.float32), *hypers)
    arguments = np.array(seeds, np.uint32), stacked, dict(batch)
    traced = jax.jit(jax.vmap(task.init, (0, 0, None))).trace(*arguments)
    states: State = traced.lower().compile(runtime.compiler_options(traced.jaxpr, runs_once=True))(*arguments)
    return states


def train_step(task: Task, own_batches: bool) -> Callable[[State, Any, Any], tuple[State, Sums]]:
    """(states, resident, payload) -> (states, sums), with a member axis on states, sums and, if own, on the payload."""

    def step(state: State, resident: Any, payload: Any) -> tuple[State, Sums]:
        return task.train_step(state, assemble(resident, payload))

    return jax.vmap(step, (0, None, 0 if own_batches else None))


def member(states: State, number: int) -> State:
    """One member's state, as if it had trained alone."""
    return jax.tree.map(lambda leaf: leaf[number], states)
