"""What a training begins from: a state before the first update, or another run's last, as `--from` asks for."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from dlvr_jax import config
from dlvr_jax.build import Experiment
from dlvr_jax.errors import UserError
from dlvr_jax.reporting import console
from dlvr_jax.run import Run
from dlvr_jax.tasks.task import State
from dlvr_jax.training.checkpoint import restore, steps
from dlvr_jax.training.compiled import initial_state
from dlvr_jax.training.population import member, stacked
from dlvr_jax.training.strategy import Form


def first_state(experiment: Experiment) -> State:
    """Before the first update; of a population all members'."""
    if not experiment.is_population:
        places = None
        if experiment.fsdp > 1:  # it may be too large for one device
            places = experiment.placement.places(experiment.abstract_state, experiment.task.micro)
        return initial_state(experiment.task, experiment.seed, experiment.hyper, experiment.example_batch, places)
    task, seeds = experiment.population_of(Form("vmap")), np.array(experiment.seeds, np.uint32)
    return initial_state(task, seeds, stacked(experiment.hypers), experiment.example_batch)


def first_shapes(experiment: Experiment) -> State:
    """`first_state` in shape and type."""
    if not experiment.is_population:
        return experiment.abstract_state
    size = experiment.population.size
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), experiment.abstract_state)


def check(origin: Path, step: int | None, experiment: Experiment) -> None:
    """Raises UserError where a run cannot start from another, as far as its folder tells."""
    there = Run(origin)
    if not there.exists():
        raise UserError(f"{origin} is not a run folder: it has no config.json")
    if config.flatten(there.config).get("population.size", 1) > 1:
        raise UserError(f"{origin} is a population; ./launch.sh extract {origin} --member N first")
    kept = steps(there.checkpoints)
    if step is not None and step not in kept:
        raise UserError(f"{origin} has no checkpoint of step {step} any more, from which this run began")
    if kept:
        _check_step(origin, kept[-1] if step is None else step, experiment)


def state_of(origin: Path, step: int | None, like: State, experiment: Experiment) -> State:
    """The last state of another run, or that of a step, with this config's hyper and seed; its step goes on, also where
    that run met a number that was not finite: its state is the one before.

    Of a population each member starts from it.
    """
    own = ("state/hyper", "state/seed", "state/failed", "best")
    alone = member(like, 0) if experiment.is_population else like
    found = restore(Run(origin).checkpoints, {"state": alone, "best": None}, console.warn, step, own)
    if found is None:
        raise UserError(f"{origin} has no checkpoint to start from")
    state: State = found[0]["state"]
    _check_step(origin, int(state.step), experiment)
    if not experiment.is_population:
        return state
    each = jax.tree.map(lambda leaf: np.stack([leaf] * experiment.population.size), state)
    return dataclasses.replace(each, hyper=like.hyper, seed=like.seed, failed=like.failed)


def _check_step(origin: Path, begun: int, experiment: Experiment) -> None:
    """Raises UserError where a training cannot go on from that step of a run."""
    total, per_call = experiment.train.steps or 0, experiment.train.steps_per_call
    if begun >= total:
        raise UserError(f"{origin} is at step {begun} already; set train.steps above that")
    if begun % per_call:
        raise UserError(f"train.steps_per_call = {per_call}: the step {begun} of {origin} is no multiple of it; use 1")
