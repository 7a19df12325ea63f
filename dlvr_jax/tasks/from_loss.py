"""From a loss to a task: gradient, accumulation, clipping, update, averaging, the stop at a non-finite number, once.

Who has one objective states it as an `Objective`; who has several players builds a step of its own from `update`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from dlvr_jax.displays import Display
from dlvr_jax.global_norm import global_norm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Direction,
    Hyper,
    Keys,
    Outputs,
    Params,
    Purpose,
    Ratio,
    State,
    Sums,
    Variables,
    as_evaluated,
    rates,
)


@runtime_checkable
class Objective(Protocol):
    """A task with one objective: what it must state. Its `loss` may take rates as keyword-only parameters.

    Everywhere but in `loss` the state is the one to evaluate, with the averages in place. It may have the methods
    `sample` and `show` of a Task.
    """

    @property
    def directions(self) -> Mapping[str, Direction]:
        """As `Task.directions`."""

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """Parameters and the model's other collections."""

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """What the first batch starts from; None for a task without."""

    def loss(
        self, params: Params, state: State, batch: Batch, keys: Keys, **rates: Any
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """The loss of `params` as (sum over real examples, their count), new variables and carry, and sums to log."""

    def predict(self, state: State, batch: Batch) -> Outputs:
        """As `Task.predict`."""

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """As `Task.eval_step`."""

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """As `Task.finish`."""

    def displays(
        self, state: State, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """As `Task.displays`."""


@runtime_checkable
class Optimizer(Protocol):
    """From hyper to a gradient transformation, inside the step; equal by value."""

    def __call__(self, hyper: Hyper) -> optax.GradientTransformation:
        """The transformation, learning rate and all."""

    def learning_rate(self, hyper: Hyper, step: ArrayLike) -> Float[Array, ""]:
        """The learning rate of the update after `step` updates."""


@dataclass(frozen=True)
class LossTask:
    """The task of lowering one loss."""

    objective: Objective
    optimizer: Optimizer
    micro: int = 1  # micro-batches an update; each has a carry of its own
    batches_per_step: int = 1

    @property
    def directions(self) -> Mapping[str, Direction]:
        """See Task."""
        return self.objective.directions

    @property
    def sample(self) -> Callable[..., dict[str, Display]] | None:
        """See Task."""
        return getattr(self.objective, "sample", None)

    @property
    def show(self) -> Callable[..., dict[str, Display]] | None:
        """See Task."""
        return getattr(self.objective, "show", None)

    def init(self, seed: ArrayLike, hyper: Hyper, batch: Batch) -> State:
        """See Task."""
        seed = jnp.asarray(seed, jnp.uint32)
        hyper = jax.tree.map(lambda number: jnp.asarray(number, jnp.float32), dict(hyper))
        keys, first = Keys(seed, 0), batch if self.micro == 1 else jax.tree.map(lambda leaf: leaf[0], batch)
        params, variables = self.objective.init(keys.shared(Purpose.INIT), first)
        average = None if hyper["train.ema"] is None else (params, variables)
        carry = self._first_carry(keys, batch)
        zero = jnp.zeros((), jnp.int32)
        return State(params, variables, self.optimizer(hyper).init(params), average, carry, hyper, seed, zero, zero)

    def train_step(self, state: State, batch: Batch) -> tuple[State, Sums]:
        """See Task. After the first non-finite update the state stays as it was before it."""
        gradient, loss, variables, carry, sums = self._gradient(state, batch)
        params, opt_state, norms = update(
            self.optimizer, state.hyper, state.params, state.opt_state, gradient, state.step
        )
        after = dataclasses.replace(
            state,
            params=params,
            variables=variables,
            opt_state=opt_state,
            average=averaged(state.average, (params, variables), state.hyper["train.ema"], state.step),
            carry=carry,
            step=state.step + 1,
        )
        finite = jnp.isfinite(jnp.stack([loss, *(norm for norm, _ in norms.values())])).all()
        return frozen_unless(finite, after, state), sums | norms

    def initial_carry(self, batch: Batch) -> Carry:
        """See Task."""
        return self.objective.initial_carry(Keys(0, 0).shared(Purpose.CARRY), batch)

    def eval_step(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Task."""
        return self.objective.evaluate(as_evaluated(state), batch, carry)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Task."""
        return self.objective.predict(as_evaluated(state), batch)

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Task."""
        return self.objective.finish(as_evaluated(state), sums, outputs)

    def displays(
        self, state: State, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Task."""
        return self.objective.displays(as_evaluated(state), sums, outputs, examples)

    def non_finite(self, state: State, batch: Batch) -> Any:
        """See Task."""
        gradient, loss, *_ = self._gradient(state, batch)
        return {"loss": ~jnp.isfinite(loss), "gradient": jax.tree.map(lambda leaf: ~jnp.isfinite(leaf).all(), gradient)}

    def _first_carry(self, keys: Keys, batch: Batch) -> Carry:
        """Of each micro-batch, with a leading axis where there are several."""
        if self.micro == 1:
            return self.objective.initial_carry(keys.shared(Purpose.CARRY), batch)
        several = jax.vmap(lambda micro: Keys(keys.seed, keys.step, micro).own(Purpose.CARRY))(jnp.arange(self.micro))
        return jax.vmap(self.objective.initial_carry)(several, batch)

    def _gradient(self, state: State, batch: Batch) -> tuple[Params, Array, Variables, Carry, Sums]:
        """Gradient and value of the mean loss over all micro-batches; what the last one left, and added sums."""
        one = partial(_micro_gradient, self.objective)
        if self.micro == 1:
            gradient, (total, count), variables, carry, sums = one(state, batch, jnp.zeros((), jnp.int32))
        else:
            gradient, (total, count), variables, carry, sums = _accumulated(one, state, batch, self.micro)
        return jax.tree.map(lambda leaf: leaf / count, gradient), total / count, variables, carry, sums


def _micro_gradient(
    objective: Objective, state: State, batch: Batch, micro: Int[Array, ""]
) -> tuple[Params, Ratio, Variables, Carry, Sums]:
    """Gradient of the *sum* of losses over one micro-batch: sums add, means do not."""
    keys = Keys(state.seed, state.step, micro)

    def total_loss(params: Params) -> tuple[Array, tuple[Array, Variables, Carry, Sums]]:
        (total, count), (variables, carry, sums) = objective.loss(
            params, state, batch, keys, **rates(state.hyper, "task")
        )
        return total, (count, variables, carry, sums)

    (total, (count, variables, carry, sums)), gradient = jax.value_and_grad(total_loss, has_aux=True)(state.params)
    return gradient, (total, count), variables, carry, sums


def _accumulated(one: Callable[..., Any], state: State, batch: Batch, count: int) -> Any:
    """Adds over the micro-batches, in order; batch statistics pass from one to the next, carries do not."""

    def body(scanned: Any, item: Any) -> tuple[Any, Carry]:
        variables, added = scanned
        carry, batch, micro = item
        before = dataclasses.replace(state, variables=variables, carry=carry)
        gradient, loss, variables, carry, sums = one(before, batch, micro)
        return (variables, jax.tree.map(jnp.add, added, (gradient, loss, sums))), carry

    items = (state.carry, batch, jnp.arange(count))
    carry, first, micro = jax.tree.map(lambda leaf: leaf[0], items)
    gradient, loss, _, _, sums = jax.eval_shape(one, dataclasses.replace(state, carry=carry), first, micro)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (gradient, loss, sums))
    (variables, (gradient, loss, sums)), carry = jax.lax.scan(body, (state.variables, zeros), items)
    return gradient, loss, variables, carry, sums


def update(
    optimizer: Optimizer, hyper: Hyper, params: Params, opt_state: Any, gradient: Params, step: ArrayLike
) -> tuple[Params, Any, Sums]:
    """One player's parameters and optimiser state after an update, and the norms to log."""
    updates, opt_state = optimizer(hyper).update(gradient, opt_state, params)
    updates = jax.tree.map(computed_once, updates)
    params = optax.apply_updates(params, updates)
    one = jnp.ones((), jnp.float32)
    norms = {
        "learning_rate": (optimizer.learning_rate(hyper, step), one),
        "gradient_norm": (global_norm(gradient), one),
        "update_norm": (global_norm(updates), one),
        "parameter_norm": (global_norm(params), one),
    }
    return params, opt_state, norms


def averaged(average: Any, latest: Any, decay: Any, step: ArrayLike) -> Any:
    """Exponential moving average whose decay warms up as (1 + t) / (10 + t), so that the start is soon forgotten.

    Whole numbers are taken as they are; without an average (None) there is nothing to do.
    """
    if average is None:
        return None
    decay = computed_once(jnp.minimum(decay, (1.0 + step) / (10.0 + step)))
    rest = computed_once(1 - decay)

    def one(old: Array, new: Array) -> Array:
        return decay * old + rest * new if jnp.issubdtype(new.dtype, jnp.inexact) else new

    return jax.tree.map(one, average, latest)


def frozen_unless(finite: Array, after: State, before: State) -> State:
    """`after`, or `before` with the number of the failing update, from the first non-finite update on."""
    keep = computed_once(finite & (before.failed == 0))
    failed = jnp.where((before.failed == 0) & ~finite, before.step + 1, before.failed)
    state = jax.tree.map(lambda new, old: jax.lax.select_n(keep, old, new.astype(old.dtype)), after, before)
    return dataclasses.replace(state, failed=failed)
