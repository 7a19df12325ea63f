"""One step on many devices: rows of a batch are split over a mesh axis, everything else is on every device.

The step itself does not know: `jit` on sharded arrays gives it the whole batch, so that batch statistics are right.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dlvr_jax.errors import UserError
from dlvr_jax.tasks.task import State


@dataclass(frozen=True)
class Placement:
    """Where arrays go. With one device nothing is split."""

    mesh: Mesh
    members: bool = False  # devices share the members of a population, each with the whole batches

    @classmethod
    def over(cls, devices: int, members: bool = False) -> "Placement":
        """The first `devices` devices, as the axis "data".

        Raises:
            UserError: there are not that many.
        """
        there, several = jax.device_count(), jax.process_count() > 1
        if devices > there or (several and devices < there):
            where, use = ("the processes have", "all") if several else ("this machine has", "at most that many")
            raise UserError(f"mesh.data = {devices}: {where} {there} devices; use {use}")
        return cls(Mesh(np.array(jax.devices()[:devices]), ("data",)), members)

    def everywhere(self, tree: Any) -> Any:
        """Puts a copy of every leaf on each device."""
        return jax.tree.map(lambda leaf: _put(leaf, self.copied), tree)

    def state(self, state: State, micro: int = 1) -> State:
        """Puts a state on the devices, where `places` says."""
        placed: State = jax.tree.map(_put, state, self.places(state, micro))
        return placed

    def places(self, state: State, micro: int = 1) -> State:
        """Where a state goes: its members are split, or the carry's rows as a batch's are, and the rest is everywhere.

        `micro`: the length of the carry's leading axis, where it is over 1. What does not split is everywhere.
        """
        if self.members:
            return jax.tree.map(lambda leaf: NamedSharding(self.mesh, PartitionSpec("data")), state)
        carry = jax.tree.map(lambda leaf: self._of_carry(leaf, int(micro > 1)), state.carry)
        return dataclasses.replace(jax.tree.map(lambda leaf: self.copied, state), carry=carry)

    @property
    def copied(self) -> NamedSharding:
        """Of what is everywhere."""
        return NamedSharding(self.mesh, PartitionSpec())

    def _of_carry(self, leaf: Any, axis: int) -> NamedSharding:
        splits = leaf.ndim > axis and leaf.shape[axis] % self.mesh.size == 0
        return NamedSharding(self.mesh, PartitionSpec(*([None] * axis), "data")) if splits else self.copied

    def rows(self, payload: dict[str, np.ndarray], leading: int = 0) -> dict[str, Any]:
        """Splits the axis after `leading` ones (steps of a call, micro-batches) over the devices."""
        if self.mesh.size == 1:
            return payload
        if self.members:
            return dict(self.everywhere(payload))
        split = NamedSharding(self.mesh, PartitionSpec(*([None] * leading), "data"))
        return {name: _put(leaf, split) for name, leaf in payload.items()}


def _put(leaf: Any, place: NamedSharding) -> jax.Array:
    """Every process has the whole leaf at hand and sends its own devices their parts."""
    if place.is_fully_addressable:
        return jax.device_put(leaf, place)
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, place, whole.__getitem__)
