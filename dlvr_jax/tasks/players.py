"""Several players in one state, each with parameters, variables and an optimiser's state under its own name."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from dlvr_jax.schema import Number
from dlvr_jax.tasks.from_loss import Optimizer, update
from dlvr_jax.tasks.task import Params, State, Sums, Variables


def _free(params: Params) -> Params:
    return params


class Player(NamedTuple):
    """What a player lowers, how fast it learns beside the optimiser's rate, and what holds its parameters."""

    loss: Callable[[Params], tuple[Array, tuple[Variables, Sums]]]
    speed: Number | None = None
    confined: Callable[[Params], Params] = _free


def moved(state: State, name: str, player: Player, optimizer: Optimizer) -> tuple[State, tuple[Sums, Any]]:
    """The state after one update of one player, of which the others' parameters are not touched.

    With it come the sums to log, and which leaves of its gradient were not finite.
    """
    (_, (variables, sums)), gradient = jax.value_and_grad(player.loss, has_aux=True)(state.params[name])
    hyper, rate = state.hyper, "optimizer.learning_rate"
    if player.speed is not None:
        hyper = {**hyper, rate: hyper[rate] * player.speed}
    opt_state = _at_step(state.opt_state[name], state.step)
    params, opt_state, norms = update(optimizer, hyper, state.params[name], opt_state, gradient, state.step)
    after = dataclasses.replace(
        state,
        params={**state.params, name: player.confined(params)},
        variables=variables,
        opt_state={**state.opt_state, name: opt_state},
    )
    flags = jax.tree.map(lambda leaf: ~jnp.isfinite(leaf).all(), gradient)
    return after, (sums | {f"{name}_{norm}": value for norm, value in norms.items()}, flags)


def only_of(names: Collection[str], average: Any, latest: Any) -> Any:
    """An average of which only these players' parts are kept; the rest is the latest. None stays None."""
    if average is None:
        return None

    def one(place: tuple[Any, ...], old: Array, new: Array) -> Array:
        return old if any(getattr(part, "key", None) in names for part in place) else new

    return jax.tree_util.tree_map_with_path(one, average, latest)


def _at_step(opt_state: Any, step: ArrayLike) -> Any:
    """With the schedule at this step, however many updates the player has had."""

    def is_count(part: Any) -> bool:
        return isinstance(part, optax.ScaleByScheduleState)

    return jax.tree.map(lambda part: part._replace(count=step) if is_count(part) else part, opt_state, is_leaf=is_count)
