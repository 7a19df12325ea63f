"""One pass over a split, every example exactly once."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from dlvr_jax.data.batches import Batches
from dlvr_jax.data.prefetch import payloads
from dlvr_jax.tasks.task import State, Task
from dlvr_jax.training.compiled import eval_program, initial_carry
from dlvr_jax.training.sharding import Placement

PENDING = 256  # batches whose sums and outputs may wait on the device

Total = tuple[np.ndarray, np.ndarray]  # numerator and denominator, float64


@dataclass(frozen=True)
class Split:
    """A split's batches, with what is resident on the devices."""

    batches: Batches
    resident: Any
    placement: Placement

    @classmethod
    def place(cls, batches: Batches, placement: Placement) -> "Split":
        """Puts the resident arrays on the devices."""
        return cls(batches, placement.everywhere(batches.resident), placement)

    def first_call(self, per_call: int, micro: int) -> Any:
        """What a training program of so many steps a call is sent first, on the devices."""
        payload = next(payloads(self.batches, 0, per_call, per_call=per_call))
        return self.placement.rows(payload, (per_call > 1) + (micro > 1))


def evaluate(task: Task, state: State, split: Split) -> tuple[dict[str, Total], dict[str, np.ndarray]]:
    """Sums over all batches, in float64, and the outputs of the real examples, in the order of the split."""
    program, carry = None, None
    total: dict[str, Total] = {}
    pending: list[Any] = []
    collected: list[dict[str, np.ndarray]] = []
    assert split.batches.num_batches is not None
    with closing(payloads(split.batches, 0, split.batches.num_batches)) as sent:
        for number, payload in enumerate(sent):
            rows = split.placement.rows(payload)
            if program is None:
                carry = initial_carry(task, split.resident, rows)
                program = eval_program(task, state, split.resident, rows, carry)
            sums, outputs, carry = program(state, split.resident, rows, carry)
            pending.append((sums, {"index": payload["index"], **outputs}, payload["mask"]))
            if len(pending) == PENDING or number == split.batches.num_batches - 1:
                total = add_up(total, _by_name(jax.device_get([sums for sums, _, _ in pending])))
                collected += [_real(jax.device_get(outputs), mask) for _, outputs, mask in pending]
                pending = []
    if not collected:
        return total, {}
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *collected)
    order = np.argsort(joined["index"], kind="stable")
    return total, {name: output[order] for name, output in joined.items()}


def _real(outputs: Mapping[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(output)[mask] for name, output in outputs.items()}


def _by_name(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The numerators of all batches, and their denominators."""
    return {name: tuple(zip(*(sums[name] for sums in batches), strict=True)) for name in batches[0]}


def add_up(total: Mapping[str, Total], sums: Mapping[str, Any]) -> dict[str, Total]:
    """Adds host sums, one after the other in float64, to a total: it does not matter how they are grouped.

    The sums are, by name, the numerators of all steps and their denominators.
    """
    nothing = np.zeros(()), np.zeros(())
    added = dict(total)
    for name, (numerators, denominators) in sums.items():
        top, bottom = total.get(name, nothing)
        added[name] = _added(top, numerators), _added(bottom, denominators)
    return added


def _added(total: np.ndarray, steps: np.ndarray | Sequence[Any]) -> np.ndarray:
    """Numbers by `accumulate`, which is quick and keeps to the order, as `sum` does not; arrays one by one."""
    if not np.ndim(steps[0]):
        return np.asarray(np.add.accumulate(np.concatenate([total.reshape(1), np.asarray(steps, np.float64)]))[-1])
    for step in steps:
        total = total + np.asarray(step, np.float64)
    return total
