"""How a training is computed on this machine: named by the config, or measured once and remembered in the cache."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax import config, runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.build import Experiment
from dlvr_jax.sections import VARY, devices_of, leaves_devices_open
from dlvr_jax.tasks.task import State
from dlvr_jax.training.compiled import initial_state
from dlvr_jax.training.population import stacked
from dlvr_jax.training.strategy import Form, fastest, forms, measure, measure_devices

# Keys that change no operation of a step; values of `vary` and other hyper change none either.
WITHOUT_EFFECT = ("seed", "data.seed", "population.seeds", "population.strategy", "train.steps", "train.epochs")


def devices_to_make(flat: Mapping[str, Any]) -> int:
    """How many CPU devices a process needs; one for each thread where the config leaves open how many are used."""
    chooses = flat["population.size"] > 1 and flat["population.strategy"] == "auto"
    return max(runtime.threads_at_hand() if chooses or leaves_devices_open(flat) else 1, devices_of(flat))


def on_devices(experiment: Experiment) -> tuple[Experiment, dict[str, float]]:
    """A run alone with its number of devices, and seconds a step of each number that was measured.

    Where the config leaves it open, that is one, or as many as there are and share the batches evenly.
    """
    most = _most_devices(experiment) if leaves_devices_open(experiment.flat) else 1
    if most == 1:
        return experiment, {}
    path = remembered("devices", experiment)
    seconds = _read_devices(path)
    if seconds is None:
        task, per_call, batches = experiment.task, experiment.train.steps_per_call, experiment.training_batches()
        state = initial_state(task, experiment.seed, experiment.hyper, experiment.example_batch)
        seconds = measure_devices(task, (1, most), per_call, state, batches)
        write_text(path, json.dumps(seconds) + "\n")
    told = {"1 device": seconds[1], f"{most} devices": seconds[most]}
    print("a step: " + _told(told), file=sys.stderr)
    return dataclasses.replace(experiment, devices=fastest(seconds)), told


def _most_devices(experiment: Experiment) -> int:
    """How many of those at hand share the batches of training and of evaluation evenly."""
    rows = (experiment.train.batch_size // experiment.train.accumulate, experiment.evaluation.batch_size)
    counts = range(1, jax.local_device_count() + 1 if jax.process_count() == 1 else 2)
    return max(count for count in counts if not any(number % count for number in rows))


def _read_devices(path: Path) -> dict[int, float] | None:
    """What was measured before; None where there is nothing that can be read."""
    try:
        return {int(count): float(seconds) for count, seconds in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None


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
    print(f"a step of {experiment.population.size} members: {_told(told)}", file=sys.stderr)
    return fastest(seconds), told


def form_at_start(experiment: Experiment) -> Form:
    """The form that a training of the population would take."""
    seeds, hyper = np.array(experiment.seeds, np.uint32), stacked(experiment.hypers)
    state = initial_state(experiment.population_of(Form("vmap")), seeds, hyper, experiment.example_batch)
    return form_of(experiment, state)[0]


def _told(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{form} {1000 * taken:.3g} ms" for form, taken in seconds.items())


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
