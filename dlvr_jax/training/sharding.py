"""One step on many devices: rows of a batch are split over all of them, and parameters too where the mesh says so.

The step itself does not know: `jit` on sharded arrays gives it the whole batch, so that batch statistics are right. Of
what is split over "fsdp" (fully sharded data parallel: Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054, ZeRO
stage 3) each device keeps its part; `compiled.py` gathers the parameters for the time of a step.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dlvr_jax.errors import UserError
from dlvr_jax.tasks.task import State

ROWS = ("data", "fsdp")  # the axes of the mesh, over both of which rows are split
SMALL = 1024  # numbers; a leaf of fewer is on every device, since gathering costs more than keeping


@dataclass(frozen=True)
class Placement:
    """Where arrays go. With one device nothing is split."""

    mesh: Mesh
    members: bool = False  # devices share the members of a population, each with the whole batches

    @classmethod
    def over(cls, devices: int, members: bool = False, fsdp: int = 1) -> "Placement":
        """The first `devices` devices, of which groups of `fsdp` share out parameters.

        Raises:
            UserError: there are not that many, or several processes have more.
        """
        there, several = jax.device_count(), jax.process_count() > 1
        if devices > there or (several and devices < there):
            where, use = ("the processes have", "all") if several else ("this machine has", "at most that many")
            asked = f"mesh.data = {devices}" if fsdp == 1 else f"mesh.data x mesh.fsdp = {devices}"
            raise UserError(f"{asked}: {where} {there} devices; use {use}")
        return cls(Mesh(np.array(jax.devices()[:devices]).reshape(-1, fsdp), ROWS), members)

    def everywhere(self, tree: Any) -> Any:
        """Puts a copy of every leaf on each device."""
        return jax.tree.map(lambda leaf: _put(leaf, self.copied), tree)

    def state(self, state: State, micro: int = 1) -> State:
        """Puts a state on the devices, where `places` says."""
        placed: State = jax.tree.map(_put, state, self.places(state, micro))
        return placed

    def abstract(self, state: State, micro: int = 1) -> State:
        """The shapes and types of a state, with their places."""

        def placed(leaf: Any, place: NamedSharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

        shapes: State = jax.tree.map(placed, state, self.places(state, micro))
        return shapes

    def places(self, state: State, micro: int = 1) -> State:
        """Where a state goes: its members are split, or the carry's rows as a batch's are, and what `_shared` says.

        `micro`: the length of the carry's leading axis, where it is over 1. What does not split is everywhere.
        """
        if self.members:
            return jax.tree.map(lambda leaf: NamedSharding(self.mesh, PartitionSpec("data")), state)
        everywhere = jax.tree.map(lambda leaf: self.copied, state)
        shared = {name: jax.tree.map(self._shared, getattr(state, name)) for name in ("params", "opt_state", "average")}
        carry = jax.tree.map(lambda leaf: self._of_carry(leaf, int(micro > 1)), state.carry)
        return dataclasses.replace(everywhere, **shared, carry=carry)

    @property
    def copied(self) -> NamedSharding:
        """Of what is everywhere."""
        return NamedSharding(self.mesh, PartitionSpec())

    def split(self, leading: int = 0) -> NamedSharding:
        """Of rows, after so many axes."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * leading, ROWS))

    def rows(self, payload: dict[str, np.ndarray], leading: int = 0) -> dict[str, Any]:
        """Splits the axis after `leading` ones (steps of a call, micro-batches) over the devices."""
        if self.mesh.size == 1:
            return payload
        if self.members:
            return dict(self.everywhere(payload))
        return {name: _put(leaf, self.split(leading)) for name, leaf in payload.items()}

    def _of_carry(self, leaf: Any, axis: int) -> NamedSharding:
        splits = leaf.ndim > axis and leaf.shape[axis] % self.mesh.size == 0
        return self.split(axis) if splits else self.copied

    def _shared(self, leaf: Any) -> NamedSharding:
        """Of parameters and what has their shape: split over "fsdp" along the longest axis that splits evenly."""
        parts = self.mesh.shape["fsdp"]
        axes = [axis for axis, length in enumerate(leaf.shape) if length % parts == 0]
        if parts == 1 or leaf.size < SMALL or not axes:
            return self.copied
        longest = max(axes, key=leaf.shape.__getitem__)
        return NamedSharding(self.mesh, PartitionSpec(*[None] * longest, "fsdp"))


def _put(leaf: Any, place: NamedSharding) -> jax.Array:
    """Every process has the whole leaf at hand and sends its own devices their parts; what is there already stays."""
    if place.is_fully_addressable:
        return jax.device_put(leaf, place)
    if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(place, leaf.ndim):
        return leaf
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, place, whole.__getitem__)
