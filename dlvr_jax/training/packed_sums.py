"""The sums of a step as one array, which the host fetches in a tenth of the time of two for each name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlvr_jax.tasks.task import Sums


@partial(jax.tree_util.register_dataclass, data_fields=["numbers"], meta_fields=["names"])
@dataclass(frozen=True, eq=False)
class PackedSums(Mapping[str, tuple[Any, Any]]):
    """Numerators and denominators by name, on the device or fetched."""

    names: tuple[str, ...]
    numbers: Any  # float32 (steps, members, parts), those that there are; parts: numerator, denominator of each name

    def __getitem__(self, name: str) -> tuple[Any, Any]:
        if name not in self.names:
            raise KeyError(name)
        place = 2 * self.names.index(name)
        return self.numbers[..., place], self.numbers[..., place + 1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def packed(sums: Sums) -> PackedSums:
    """Of all names, sorted. Behind the barrier XLA fuses nothing into what computes them, so bits stay as they were."""
    names = tuple(sorted(sums))
    pairs = jax.lax.optimization_barrier([sums[name] for name in names])
    return PackedSums(names, jnp.stack([part.astype(jnp.float32) for pair in pairs for part in pair], -1))


def fetched(calls: Sequence[PackedSums], per_call: int) -> PackedSums:
    """The sums of all steps of some calls, on the host; all copies are under way before the first is waited for."""
    for sums in calls:
        sums.numbers.copy_to_host_async()
    joined = np.stack if per_call == 1 else np.concatenate
    return PackedSums(calls[0].names, joined([np.asarray(sums.numbers) for sums in calls]))
