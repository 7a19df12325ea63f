"""How a population is computed on this machine: named by the config, or measured once and remembered in the cache."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax import config, runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.build import Experiment
from dlvr_jax.sections import VARY
from dlvr_jax.tasks.task import State
from dlvr_jax.training.compiled import initial_state
from dlvr_jax.training.population import stacked
from dlvr_jax.training.strategy import Form, fastest, forms, measure

# Keys that change no operation of a step; values of `vary` and other hyper change none either.
WITHOUT_EFFECT = ("seed", "data.seed", "population.seeds", "population.strategy", "train.steps", "train.epochs")


def form_of(experiment: Experiment, state: State) -> tuple[Form, dict[str, float]]:
    """The form, and seconds a step of each that was measured."""
    named = experiment.population.strategy
    if named != "auto":
        return Form(named, experiment.devices), {}
    path = remembered("forms", experiment)
    seconds = _read(path)
    if seconds is None:
        tried = forms(experiment.population.size, experiment.devices, jax.local_device_count())
        batches, per_call = experiment.training_batches(), experiment.train.steps_per_call
        seconds = measure(experiment.population_of, tried, per_call, state, batches)
        write_text(path, json.dumps([asdict(form) | {"seconds": taken} for form, taken in seconds.items()]) + "\n")
    told = {str(form): taken for form, taken in seconds.items()}
    each = ", ".join(f"{form} {1000 * taken:.3g} ms" for form, taken in told.items())
    print(f"a step of {experiment.population.size} members: {each}", file=sys.stderr)
    return fastest(seconds), told


def form_at_start(experiment: Experiment) -> Form:
    """The form that a training of the population would take."""
    seeds, hyper = np.array(experiment.seeds, np.uint32), stacked(experiment.hypers)
    state = initial_state(experiment.population_of(Form("vmap")), seeds, hyper, experiment.example_batch)
    return form_of(experiment, state)[0]


def remembered(what: str, experiment: Experiment) -> Path:
    """A file of the cache for each program on each kind of machine, to keep what was measured of it."""
    hyper = experiment.hyper
    kept = {key: value for key, value in experiment.flat.items() if key not in WITHOUT_EFFECT and key not in hyper}
    kept = {key: value for key, value in kept.items() if not key.startswith(VARY)}
    kept |= {"absent": sorted(key for key, value in hyper.items() if value is None), "own": experiment.own_batches}
    environment = runtime.environment()
    where = {name: environment[name] for name in ("versions", "device", "cpu", "flags")}
    return runtime.cache_folder() / what / f"{config.fingerprint({**kept, **config.flatten(where)})[:16]}.json"


def _read(path: Path) -> dict[Form, float] | None:
    """What was measured before; None where there is nothing that can be read."""
    try:
        kept: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return {Form(one["strategy"], one["devices"]): float(one["seconds"]) for one in kept} or None
    except (OSError, ValueError, KeyError, TypeError):
        return None
