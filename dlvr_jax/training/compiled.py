"""From a task's pure functions to compiled programs.

Programs are kept by (task, widths, shapes): equal tasks share them, whatever their hyper, within a process by this
cache and across processes by JAX's own. Each is compiled, or read from JAX's cache, in a thread, without the
interpreter's lock.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from dlvr_jax import runtime
from dlvr_jax.data.batches import assemble
from dlvr_jax.data.length_buckets import Widths
from dlvr_jax.errors import blamed
from dlvr_jax.tasks.task import Batch, Carry, State, Task
from dlvr_jax.training.packed_sums import PackedSums, packed

FAILS = "the training step fails"  # what only training does may fail here first, in a model of the user's own


def initial_state(task: Task, seed: ArrayLike, hyper: Any, batch: Batch, places: State | None = None) -> State:
    """`task.init`, compiled; made in its places where they are given, so that it need not fit on one device."""
    arguments = (np.asarray(seed, np.uint32), hyper, dict(batch))
    return _ready(_program(_init, (task,), False, arguments, places=places))(*arguments)


def train_program(
    task: Task, per_call: int, state: State, resident: Any, payload: Any, widths: Widths = ()
) -> Callable[..., Any]:
    """(state, resident, payload) -> (state, sums); with several steps a call, payload and sums have them in front.

    The state that goes in is used up. `widths`: see `Batches`.

    Raises:
        UserError: the task's own functions fail, or the model's.
    """
    with blamed(FAILS):
        return _ready(_train_program(task, per_call, state, resident, payload, widths))


@contextmanager
def compiling_train_program(
    task: Task, per_call: int, state: State, resident: Any, payload: Any, widths: Widths = ()
) -> Iterator[None]:
    """While XLA compiles `train_program` the block inside does something else.

    Of the state only shapes and places count.

    Raises:
        UserError: the task's own functions fail, or the model's. That the compiler fails, `train_program` tells.
    """
    with blamed(FAILS):
        begun = _train_program(task, per_call, state, resident, payload, widths)
    try:
        yield
    finally:
        wait([begun])


def _train_program(
    task: Task, per_call: int, state: State, resident: Any, payload: Any, widths: Widths
) -> Future[Callable[..., Any]]:
    function = _steps if per_call > 1 else _step
    return _program(function, (task, widths), True, (state, resident, payload), kept=(state, None))


def eval_program(task: Task, state: State, resident: Any, payload: Any, carry: Any) -> Callable[..., Any]:
    """(state, resident, payload, carry) -> (sums, outputs, carry)."""
    return _ready(_program(_eval, (task,), False, (state, resident, payload, carry), kept=(None, None, carry)))


def initial_carry(task: Task, resident: Any, payload: Any) -> Carry:
    """`task.initial_carry`, compiled; what is None is not."""
    if not jax.tree.leaves(jax.eval_shape(lambda r, p: _carry(task, r, p), resident, payload)):
        return None
    return _ready(_program(_carry, (task,), False, (resident, payload)))(resident, payload)


def predict_program(task: Task, state: State, batch: Any) -> Callable[..., Any]:
    """(state, batch) -> outputs."""
    return _ready(_program(_predict, (task,), False, (state, batch)))


def non_finite_program(
    task: Task, state: State, resident: Any, payload: Any, widths: Widths = ()
) -> Callable[..., Any]:
    """(state, resident, payload) -> tree of booleans."""
    return _ready(_program(_non_finite, (task, widths), False, (state, resident, payload)))


def _init(task: Task, seed: Any, hyper: Any, batch: Batch) -> State:
    return task.init(seed, hyper, batch)


def _step(task: Task, widths: Widths, state: State, resident: Any, payload: Any) -> tuple[State, PackedSums]:
    state, sums = task.train_step(_gathered(state, "params"), assemble(resident, payload, widths))
    return state, packed(sums)


def _steps(task: Task, widths: Widths, state: State, resident: Any, payload: Any) -> tuple[State, PackedSums]:
    return jax.lax.scan(lambda before, one: _step(task, widths, before, resident, one), state, payload)


def _eval(task: Task, state: State, resident: Any, payload: Any, carry: Any) -> Any:
    return task.eval_step(_gathered(state, "params", "average"), assemble(resident, payload), carry)


def _carry(task: Task, resident: Any, payload: Any) -> Carry:
    return task.initial_carry(assemble(resident, payload))


def _predict(task: Task, state: State, batch: Any) -> Any:
    return task.predict(_gathered(state, "params", "average"), batch)


def _non_finite(task: Task, widths: Widths, state: State, resident: Any, payload: Any) -> Any:
    return task.non_finite(_gathered(state, "params"), assemble(resident, payload, widths))


def _gathered(state: State, *names: str) -> State:
    """Each device gets all of the parts that devices share out, before the model uses them.

    Left to itself the compiler splits the arithmetic as the parameters are split, and moves activations about instead.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return state
    parts = {name: getattr(state, name) for name in names}
    whole = jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, PartitionSpec()), parts)
    return dataclasses.replace(state, **whole)


def _program(
    function: Callable[..., Any],
    static: tuple[Any, ...],
    donate: bool,
    arguments: tuple[Any, ...],
    kept: Any = None,
    places: Any = None,
) -> Future[Callable[..., Any]]:
    """`static`: the first arguments of the function, which choose the program.

    `kept`: of what comes out, that which goes in again, and so must stay where it is; None for the rest.
    `places`: where what comes out is put, instead.
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes = tuple(map(_shape, leaves))
    found, out = jax.tree.flatten(_places(shapes, kept) if places is None else places)
    return _compile(function, static, donate, structure, shapes, (out, tuple(found)))


def _ready(begun: Future[Callable[..., Any]]) -> Callable[..., Any]:
    """The program when it is compiled. What failed is forgotten, so that it can be tried again."""
    try:
        return begun.result()
    except Exception:
        _compile.cache_clear()
        raise


def _places(shapes: tuple[jax.ShapeDtypeStruct, ...], kept: Any) -> Any:
    """Where what comes out stays over several devices. What several processes read is on each device."""
    mesh = _mesh(shapes)
    if mesh is None:
        return None
    everywhere = NamedSharding(mesh, PartitionSpec()) if jax.process_count() > 1 else None
    return jax.tree.map(
        lambda leaf: everywhere if leaf is None else _shape(leaf).sharding, kept, is_leaf=lambda leaf: leaf is None
    )


def _mesh(shapes: tuple[jax.ShapeDtypeStruct, ...]) -> Mesh | None:
    """That of several devices, where there is one."""
    return next((shape.sharding.mesh for shape in shapes if shape.sharding is not None), None)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    several = isinstance(sharding, NamedSharding) and sharding.mesh.size > 1
    array = leaf if hasattr(leaf, "shape") else jax.numpy.asarray(leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding if several else None)


@lru_cache(maxsize=64)
def _compile(
    function: Any, static: tuple[Any, ...], donate: bool, structure: Any, leaves: Any, places: Any
) -> Future[Callable[..., Any]]:
    jitted = jax.jit(
        partial(function, *static),  # of which traces and the cache show the name
        donate_argnums=0 if donate else (),
        out_shardings=jax.tree.unflatten(*places),
    )
    mesh = _mesh(leaves)
    shares = mesh is not None and mesh.shape["fsdp"] > 1
    with jax.set_mesh(mesh) if shares else nullcontext():  # which tells `_gathered`
        traced = jitted.trace(*jax.tree.unflatten(structure, leaves))
    options = runtime.compiler_options(traced.jaxpr, runs_once=function is _init, several_devices=mesh is not None)
    thread = ThreadPoolExecutor(1)
    compiled = thread.submit(traced.lower().compile, options)
    thread.shutdown(wait=False)  # it ends with that
    return compiled
