"""One pass over a split, every example exactly once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from dlvr_jax.data.batches import Batches
from dlvr_jax.data.prefetch import payloads
from dlvr_jax.tasks.task import State, Task
from dlvr_jax.training.compiled import eval_program
from dlvr_jax.training.sharding import Placement

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


def evaluate(task: Task, state: State, split: Split) -> tuple[dict[str, Total], dict[str, np.ndarray]]:
    """Sums over all batches, in float64, and the outputs of the real examples, in order."""
    program, carry, sums, outputs, masks = None, None, [], [], []
    assert split.batches.num_batches is not None
    for payload in payloads(split.batches, 0, split.batches.num_batches):
        masks.append(payload["mask"])
        payload = split.placement.rows(payload)
        program = program or eval_program(task, state, split.resident, payload, carry)
        one, output, carry = program(state, split.resident, payload, carry)
        sums.append(one)
        outputs.append(output)
    mask = np.concatenate(masks)
    collected = jax.tree.map(lambda *parts: np.concatenate(parts)[mask], *jax.device_get(outputs))
    return add_up({}, jax.device_get(sums)), collected


def add_up(total: dict[str, Total], sums: list[Mapping[str, Any]]) -> dict[str, Total]:
    """Adds host sums to a total, one after the other in float64: the result does not depend on how they are grouped."""
    for one in sums:
        for name, pair in one.items():
            numerator, denominator = (np.asarray(part, np.float64) for part in pair)
            before = total.get(name, (np.zeros_like(numerator), np.zeros_like(denominator)))
            total[name] = np.asarray(before[0] + numerator), np.asarray(before[1] + denominator)
    return total
