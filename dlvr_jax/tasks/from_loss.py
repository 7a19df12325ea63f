"""From a loss to a task: gradient, accumulation, clipping, update, averaging, the stop at a non-finite number, once.

Who has one objective states it as an `Objective`; who has several players builds a step of its own from `update`.
"""

import dataclasses
from collections.abc import Callable
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
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Hyper,
    Keys,
    Outputs,
    Params,
    Purpose,
    Ratio,
    State,
    Sums,
    Variables,
    evaluated,
    rates,
)


@runtime_checkable
class Objective(Protocol):
    """A task with one objective: what it must state. Its `loss` may take rates as keyword-only parameters."""

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """Parameters and the model's other collections."""

    def loss(
        self, params: Params, variables: Variables, batch: Batch, keys: Keys, hyper: Hyper, **rates: Any
    ) -> tuple[Ratio, tuple[Variables, Sums]]:
        """The loss as (sum over real examples, their count), new variables, and sums to log."""

    def predict(self, params: Params, variables: Variables, batch: Batch, hyper: Hyper) -> Outputs:
        """As `Task.predict`."""

    def evaluate(
        self, params: Params, variables: Variables, batch: Batch, carry: Carry, hyper: Hyper
    ) -> tuple[Sums, Outputs, Carry]:
        """As `Task.eval_step`."""

    def finish(self, sums: Any, outputs: Any) -> dict[str, float]:
        """As `Task.finish`."""

    def lower_is_better(self, metric: str) -> bool:
        """As `Task.lower_is_better`."""

    def displays(
        self, params: Params, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
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
    accumulate: int = 1  # micro-batches an update: the leading axis of a training batch, where it is over 1

    def init(self, seed: ArrayLike, hyper: Hyper, batch: Batch) -> State:
        """See Task."""
        seed = jnp.asarray(seed, jnp.uint32)
        hyper = jax.tree.map(lambda number: jnp.asarray(number, jnp.float32), dict(hyper))
        first = batch if self.accumulate == 1 else jax.tree.map(lambda leaf: leaf[0], batch)
        params, variables = self.objective.init(Keys(seed, 0).shared(Purpose.INIT), first)
        average = None if hyper["train.ema"] is None else (params, variables)
        zero = jnp.zeros((), jnp.int32)
        return State(params, variables, self.optimizer(hyper).init(params), average, None, hyper, seed, zero, zero)

    def train_step(self, state: State, batch: Batch) -> tuple[State, Sums]:
        """See Task. After the first non-finite update the state stays as it was before it."""
        gradient, loss, variables, sums = self._gradient(state, batch)
        state_after, norms = update(self.optimizer, state, gradient, variables)
        finite = jnp.isfinite(jnp.stack([loss, *(norm for norm, _ in norms.values())])).all()
        return frozen_unless(finite, state_after, state), sums | norms

    def eval_step(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Task."""
        params, variables = evaluated(state)
        return self.objective.evaluate(params, variables, batch, carry, state.hyper)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Task."""
        params, variables = evaluated(state)
        return self.objective.predict(params, variables, batch, state.hyper)

    def finish(self, sums: Any, outputs: Any) -> dict[str, float]:
        """See Task."""
        return self.objective.finish(sums, outputs)

    def lower_is_better(self, metric: str) -> bool:
        """See Task."""
        return self.objective.lower_is_better(metric)

    def displays(
        self, state: State, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Task."""
        return self.objective.displays(evaluated(state)[0], sums, outputs, examples)

    def non_finite(self, state: State, batch: Batch) -> Any:
        """See Task."""
        gradient, loss, _, _ = self._gradient(state, batch)
        return {"loss": ~jnp.isfinite(loss), "gradient": jax.tree.map(lambda leaf: ~jnp.isfinite(leaf).all(), gradient)}

    def _gradient(self, state: State, batch: Batch) -> tuple[Params, Array, Variables, Sums]:
        """Gradient and value of the mean loss over all micro-batches, the variables after the last, and added sums."""
        one = partial(_micro_gradient, self.objective, state)
        if self.accumulate == 1:
            gradient, (total, count), variables, sums = one(state.variables, batch, jnp.zeros((), jnp.int32))
        else:
            gradient, (total, count), variables, sums = _accumulated(one, state, batch, self.accumulate)
        return jax.tree.map(lambda leaf: leaf / count, gradient), total / count, variables, sums


def _micro_gradient(
    objective: Objective, state: State, variables: Variables, batch: Batch, micro: Int[Array, ""]
) -> tuple[Params, Ratio, Variables, Sums]:
    """Gradient of the *sum* of losses over one micro-batch: sums add, means do not."""
    keys = Keys(state.seed, state.step, micro)

    def total_loss(params: Params) -> tuple[Array, tuple[Array, Variables, Sums]]:
        (total, count), (after, sums) = objective.loss(
            params, variables, batch, keys, state.hyper, **rates(state.hyper, "task")
        )
        return total, (count, after, sums)

    (total, (count, after, sums)), gradient = jax.value_and_grad(total_loss, has_aux=True)(state.params)
    return gradient, (total, count), after, sums


def _accumulated(one: Callable[..., Any], state: State, batch: Batch, count: int) -> Any:
    """Adds over the micro-batches, in order; batch statistics pass from one to the next."""

    def body(carry: Any, item: Any) -> tuple[Any, None]:
        variables, added = carry
        gradient, loss, variables, sums = one(variables, *item)
        return (variables, jax.tree.map(jnp.add, added, (gradient, loss, sums))), None

    first, micros = jax.tree.map(lambda leaf: leaf[0], batch), jnp.arange(count)
    gradient, loss, _, sums = jax.eval_shape(one, state.variables, first, micros[0])
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (gradient, loss, sums))
    (variables, (gradient, loss, sums)), _ = jax.lax.scan(body, (state.variables, zeros), (batch, micros))
    return gradient, loss, variables, sums


def update(optimizer: Optimizer, state: State, gradient: Params, variables: Variables) -> tuple[State, Sums]:
    """The state after one update of its parameters, and the norms to log."""
    updates, opt_state = optimizer(state.hyper).update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    average = None
    if state.average is not None:
        average = _averaged(state.average, (params, variables), state.hyper["train.ema"], state.step)
    one = jnp.ones((), jnp.float32)
    norms = {
        "learning_rate": (optimizer.learning_rate(state.hyper, state.step), one),
        "gradient_norm": (optax.tree.norm(gradient), one),
        "update_norm": (optax.tree.norm(updates), one),
        "parameter_norm": (optax.tree.norm(params), one),
    }
    after = dataclasses.replace(
        state, params=params, variables=variables, opt_state=opt_state, average=average, step=state.step + 1
    )
    return after, norms


def _averaged(average: Any, latest: Any, decay: Float[Array, ""], step: Int[Array, ""]) -> Any:
    """Exponential moving average whose decay warms up as (1 + t) / (10 + t), so that the start is soon forgotten."""
    decay = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, latest)


def frozen_unless(finite: Array, after: State, before: State) -> State:
    """`after`, or `before` with the number of the failing update, from the first non-finite update on."""
    keep = finite & (before.failed == 0)
    failed = jnp.where((before.failed == 0) & ~finite, before.step + 1, before.failed)
    state = jax.tree.map(lambda new, old: jnp.where(keep, new, old), after, before)
    return dataclasses.replace(state, failed=failed)
