"""A training under way: what it consists of, what it remembers, and which state it keeps in the end."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from dlvr_jax import processes
from dlvr_jax.run import Run
from dlvr_jax.sections import EvalSection, TrainSection
from dlvr_jax.tasks.task import State, Task, evaluated
from dlvr_jax.training.evaluation import Split, Total
from dlvr_jax.training.population import Population


@dataclass
class Memory:
    """What the loop remembers besides the state, saved with it."""

    seconds: float = 0.0  # spent training, over all resumptions
    window: dict[str, Total] = field(default_factory=dict)  # sums since the last log line
    best_step: list[int] = field(default_factory=lambda: [0])  # of each member, of a run alone its own; 0: none yet
    best_value: list[float] = field(default_factory=lambda: [0.0])

    @classmethod
    def of(cls, members: int) -> "Memory":
        """Before the first step."""
        return cls(best_step=[0] * members, best_value=[0.0] * members)


@dataclass
class Training:
    """A training under way."""

    run: Run
    task: Task
    splits: Mapping[str, Split]
    train: TrainSection  # with `steps` given
    evaluation: EvalSection
    state: State
    best: Any = None  # (params, variables) of the best evaluation, where `eval.best` names a metric
    memory: Memory = field(default_factory=Memory)
    told: set[int] = field(default_factory=set)  # members whose failure was reported
    until: int | None = None  # the step to pause at

    @property
    def last(self) -> int:
        """The number of updates of the whole run."""
        assert self.train.steps is not None
        return self.train.steps


def remember_best(t: Training, step: int, metrics: Sequence[Mapping[str, float]]) -> None:
    """Keeps the state of each member that is better than before by `eval.best`; of one that is frozen no later one."""
    name = t.evaluation.best
    if name is None:
        return
    frozen = (np.atleast_1d(jax.device_get(t.state.failed)) > 0) & (np.array(t.memory.best_step) > 0)
    better = [k for k, own in enumerate(metrics) if not frozen[k] and _is_better(t, k, own[name])]
    for k in better:
        t.memory.best_step[k], t.memory.best_value[k] = step, metrics[k][name]
    t.best = _with_members(t.task, t.best, evaluated(t.state), better)


def _is_better(t: Training, k: int, value: float) -> bool:
    name, before = t.evaluation.best, t.memory.best_value[k]
    if not t.memory.best_step[k] or math.isnan(before):
        return not t.memory.best_step[k] or not math.isnan(value)
    return value < before if t.task.directions[str(name)] == "lower" else value > before


def _with_members(task: Task, tree: Any, new: Any, members: Sequence[int]) -> Any:
    """The tree on the host, with those members of the new one in their places; of a run alone the new one."""
    if not members:
        return tree
    if not isinstance(task, Population):
        return jax.tree.map(np.array, processes.whole(new))

    def one(old: Any, leaf: Any) -> np.ndarray:
        changed = np.array(old)
        changed[list(members)] = np.asarray(leaf)[list(members)]
        return changed

    return jax.tree.map(one, tree, new)


def chosen_state(t: Training) -> State:
    """The state to test and to keep: with the best parameters, where `eval.best` names a metric, else the last."""
    if t.best is None or not any(t.memory.best_step):
        return t.state
    without = [k for k, step in enumerate(t.memory.best_step) if not step]
    best = _with_members(t.task, t.best, evaluated(t.state), without)
    if t.state.average is not None:
        return dataclasses.replace(t.state, average=best)
    return dataclasses.replace(t.state, params=best[0], variables=best[1])


def which_state(t: Training) -> str:
    """`chosen_state` in words."""
    step = int(np.max(t.state.step))
    if isinstance(t.task, Population):
        if not any(t.memory.best_step):
            return f"step {step}"
        first, last = min(t.memory.best_step), max(t.memory.best_step)
        steps = f"step {first}" if first == last else f"steps {first} to {last}"
        return f"{steps} of {step}, each member's best {t.evaluation.best} on validation"
    best = t.memory.best_step[0]
    return f"step {best} of {step}, the best {t.evaluation.best} on validation" if best else f"step {step}"
