"""Many trainings as one program: a task whose arrays have a leading member axis.

What is resident on the device is shared; a member's batches are its own, or one batch is for all of them. `vmap` makes
one operation of the members' operations, `map` does them one after the other in a loop, `unroll` writes them out one
after the other; over several devices, each does that with its share of the members.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jax.typing import ArrayLike

from dlvr_jax.displays import Display
from dlvr_jax.sections import Strategy
from dlvr_jax.tasks.task import Batch, Carry, Direction, Hyper, Outputs, State, Sums, Task

Axes = tuple[Literal[0] | None, ...]  # of each argument: 0 = it has a member axis, None = it is shared


@dataclass(frozen=True)
class Population:
    """A Task: `size` times the same one, with seeds, hyper and data of their own.

    States, sums and carries have the member axis in front; outputs have it after their rows. `finish` and `show` are
    those of one member: see `each_member`.
    """

    one: Task
    size: int
    own_batches: bool  # each member's batch, in front of a training batch; else all members see the same
    strategy: Strategy = "vmap"
    devices: int = 1  # over which the members are split

    @property
    def micro(self) -> int:
        """See Task."""
        return self.one.micro

    @property
    def batches_per_step(self) -> int:
        """See Task."""
        return self.one.batches_per_step

    @property
    def directions(self) -> Mapping[str, Direction]:
        """See Task."""
        return self.one.directions

    @property
    def sample(self) -> Callable[..., dict[str, Display]] | None:
        """None: a member's samples are shown when it is taken out."""
        return None

    @property
    def show(self) -> Callable[..., dict[str, Display]] | None:
        """See Task: of one member."""
        return self.one.show

    def init(self, seed: ArrayLike, hyper: Hyper, batch: Batch) -> State:
        """See Task; `seed` and the numbers of `hyper` have a member axis, the batch has none."""
        state: State = jax.vmap(self.one.init, (0, 0, None))(jnp.asarray(seed), hyper, batch)
        return state

    def train_step(self, state: State, batch: Batch) -> tuple[State, Sums]:
        """See Task. A member that meets a non-finite number stays as it was; the others go on."""
        after: tuple[State, Sums] = self._each(self.one.train_step, (0, 0 if self.own_batches else None))(state, batch)
        return after

    def initial_carry(self, batch: Batch) -> Carry:
        """See Task."""
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * self.size), self.one.initial_carry(batch))

    def eval_step(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Task; the batch is for all."""
        sums, outputs, carry = self._each(self.one.eval_step, (0, None, 0))(state, batch, carry)
        return sums, self._rows_first(outputs), carry

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Task; the batch is for all."""
        return self._rows_first(self._each(self.one.predict, (0, None))(state, batch))

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Task: of one member."""
        return self.one.finish(state, sums, outputs)

    def displays(
        self, state: State, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Task: of one member."""
        return self.one.displays(state, sums, outputs, examples)

    def non_finite(self, state: State, batch: Batch) -> Any:
        """See Task."""
        return self._each(self.one.non_finite, (0, 0 if self.own_batches else None))(state, batch)

    def _each(self, function: Callable[..., Any], axes: Axes) -> Callable[..., Any]:
        mapped = _MAPS[self.strategy](function, axes)
        if self.devices == 1:
            return mapped
        mesh = Mesh(np.array(jax.devices()[: self.devices]), ("data",))
        split = PartitionSpec("data")
        into = tuple(PartitionSpec() if axis is None else split for axis in axes)
        return jax.shard_map(mapped, mesh=mesh, in_specs=into, out_specs=split, check_vma=False)

    def _rows_first(self, outputs: Outputs) -> Outputs:
        """What the host numbers itself is left out."""
        return {name: jnp.moveaxis(output, 0, 1) for name, output in outputs.items() if name != "index"}


def each_member(
    task: Task, state: Any, sums: Mapping[str, Any], outputs: Mapping[str, np.ndarray]
) -> Iterator[tuple[Any, dict[str, Any], dict[str, np.ndarray]]]:
    """(state, sums, outputs) of each member of a population; of a run alone the whole."""
    if not isinstance(task, Population):
        yield state, dict(sums), dict(outputs)
        return
    state = jax.device_get(state)
    for k in range(task.size):
        own = {name: output if name == "index" else output[:, k] for name, output in outputs.items()}
        yield member(state, k), {name: (top[k], below[k]) for name, (top, below) in sums.items()}, own


def member(tree: Any, number: int) -> Any:
    """One member of a state, or of any tree whose leaves have the member axis in front: as if it had trained alone."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


def stacked(hypers: Sequence[Hyper]) -> Hyper:
    """The members' hyper as arrays (member,); each key must be None for all of them or for none."""
    together: Hyper = jax.tree.map(lambda *numbers: np.array(numbers, np.float32), *map(dict, hypers))
    return together


def _vmap(function: Callable[..., Any], axes: Axes) -> Callable[..., Any]:
    return jax.vmap(function, axes)


def _map(function: Callable[..., Any], axes: Axes) -> Callable[..., Any]:
    def mapped(*arguments: Any) -> Any:
        own = tuple(argument for argument, axis in zip(arguments, axes, strict=True) if axis == 0)
        return jax.lax.map(lambda items: function(*_filled(arguments, axes, items)), own)

    return mapped


def _unroll(function: Callable[..., Any], axes: Axes) -> Callable[..., Any]:
    def mapped(*arguments: Any) -> Any:
        own = tuple(argument for argument, axis in zip(arguments, axes, strict=True) if axis == 0)
        size = len(jax.tree.leaves(own)[0])
        results = [function(*_filled(arguments, axes, member(own, k))) for k in range(size)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

    return mapped


def _filled(arguments: Sequence[Any], axes: Axes, own: Sequence[Any]) -> list[Any]:
    """The arguments of one member."""
    items = iter(own)
    return [next(items) if axis == 0 else argument for argument, axis in zip(arguments, axes, strict=True)]


_MAPS: Mapping[str, Callable[[Callable[..., Any], Axes], Callable[..., Any]]] = {
    "vmap": _vmap,
    "map": _map,
    "unroll": _unroll,
}
