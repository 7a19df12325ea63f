"""From a task's pure functions to compiled programs.

Programs are kept by (task, shapes): equal tasks share them, whatever their hyper, within a process by this cache and
across processes by JAX's own.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from dlvr_jax import runtime
from dlvr_jax.data.batches import assemble
from dlvr_jax.tasks.task import Batch, Carry, State, Sums, Task


def initial_state(task: Task, seed: ArrayLike, hyper: Any, batch: Batch) -> State:
    """`task.init`, compiled."""
    seed = np.asarray(seed, np.uint32)
    return _program(_init, task, False, (seed, hyper, dict(batch)))(seed, hyper, dict(batch))


def train_program(task: Task, per_call: int, state: State, resident: Any, payload: Any) -> Callable[..., Any]:
    """(state, resident, payload) -> (state, sums); with several steps a call, payload and sums have them in front.

    The state that goes in is used up.
    """
    function = _steps if per_call > 1 else _step
    return _program(function, task, True, (state, resident, payload), kept=(state, None))


def eval_program(task: Task, state: State, resident: Any, payload: Any, carry: Any) -> Callable[..., Any]:
    """(state, resident, payload, carry) -> (sums, outputs, carry)."""
    return _program(_eval, task, False, (state, resident, payload, carry), kept=(None, None, carry))


def initial_carry(task: Task, resident: Any, payload: Any) -> Carry:
    """`task.initial_carry`, compiled; what is None is not."""
    if not jax.tree.leaves(jax.eval_shape(lambda r, p: _carry(task, r, p), resident, payload)):
        return None
    return _program(_carry, task, False, (resident, payload))(resident, payload)


def predict_program(task: Task, state: State, batch: Any) -> Callable[..., Any]:
    """(state, batch) -> outputs."""
    return _program(_predict, task, False, (state, batch))


def non_finite_program(task: Task, state: State, resident: Any, payload: Any) -> Callable[..., Any]:
    """(state, resident, payload) -> tree of booleans."""
    return _program(_non_finite, task, False, (state, resident, payload))


def _init(task: Task, seed: Any, hyper: Any, batch: Batch) -> State:
    return task.init(seed, hyper, batch)


def _step(task: Task, state: State, resident: Any, payload: Any) -> tuple[State, Sums]:
    return task.train_step(state, assemble(resident, payload))


def _steps(task: Task, state: State, resident: Any, payload: Any) -> tuple[State, Sums]:
    return jax.lax.scan(lambda before, one: _step(task, before, resident, one), state, payload)


def _eval(task: Task, state: State, resident: Any, payload: Any, carry: Any) -> Any:
    return task.eval_step(state, assemble(resident, payload), carry)


def _carry(task: Task, resident: Any, payload: Any) -> Carry:
    return task.initial_carry(assemble(resident, payload))


def _predict(task: Task, state: State, batch: Any) -> Any:
    return task.predict(state, batch)


def _non_finite(task: Task, state: State, resident: Any, payload: Any) -> Any:
    return task.non_finite(state, assemble(resident, payload))


def _program(
    function: Callable[..., Any], task: Any, donate: bool, arguments: tuple[Any, ...], kept: Any = None
) -> Callable[..., Any]:
    """`kept`: of what comes out, that which goes in again, and so must stay on its devices; None for the rest.

    The rest is for the host: over several devices each has all of it, so that each process has.
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes = tuple(map(_shape, leaves))
    mesh = next((shape.sharding.mesh for shape in shapes if shape.sharding is not None), None)
    if mesh is None:
        return _compile(function, task, donate, structure, shapes, None)
    places = jax.tree.map(
        lambda leaf: NamedSharding(mesh, PartitionSpec()) if leaf is None else _shape(leaf).sharding,
        kept,
        is_leaf=lambda leaf: leaf is None,
    )
    places, out = jax.tree.flatten(places)
    return _compile(function, task, donate, structure, shapes, (out, tuple(places)))


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    several = isinstance(sharding, NamedSharding) and sharding.mesh.size > 1
    array = leaf if hasattr(leaf, "shape") else jax.numpy.asarray(leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding if several else None)


@lru_cache(maxsize=64)
def _compile(function: Any, task: Task, donate: bool, structure: Any, leaves: Any, places: Any) -> Callable[..., Any]:
    jitted = jax.jit(
        lambda *arguments: function(task, *arguments),
        donate_argnums=0 if donate else (),
        out_shardings=None if places is None else jax.tree.unflatten(*places),
    )
    traced = jitted.trace(*jax.tree.unflatten(structure, leaves))
    return traced.lower().compile(runtime.compiler_options(traced.jaxpr, runs_once=function is _init))
