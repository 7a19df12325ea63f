"""How a training is computed on this machine: named by the config, or measured once and remembered in the cache."""

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from dlvr_jax import config, runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.beginning import first_state
from dlvr_jax.build import Experiment
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.console import warn
from dlvr_jax.sections import VARY, devices_of, leaves_devices_open
from dlvr_jax.training.strategy import Form, fastest, forms, measure, measure_devices

# Keys that change no operation of a step; values of `vary` and other hyper change none either.
WITHOUT_EFFECT = (
    *("seed", "data.seed", "population.seeds", "population.strategy", "train.steps", "train.epochs"),
    *("train.log_every", "train.eval_every", "train.checkpoint_every", "train.keep", "eval.sample_every"),
)


def devices_to_make(flat: Mapping[str, Any]) -> int:
    """How many CPU devices a process needs; one for each thread where the config leaves open how many are used."""
    chooses = flat["population.size"] > 1 and flat["population.strategy"] == "auto"
    return max(runtime.threads_at_hand() if chooses or leaves_devices_open(flat) else 1, devices_of(flat))


def form_of(experiment: Experiment) -> tuple[Form, dict[str, float]]:
    """The form of a population, and seconds a step of each that was measured."""
    named = experiment.population.strategy
    if named != "auto":
        return Form(named, experiment.devices), {}
    tried = forms(experiment.population.size, experiment.devices, jax.local_device_count())
    per_call = experiment.train.steps_per_call

    def measured() -> dict[str, float]:
        state, batches = first_state(experiment), experiment.training_batches()
        seconds = measure(experiment.population_of, tried, per_call, state, batches)
        return {str(form): taken for form, taken in seconds.items()}

    seconds = _measured_once(remembered("forms", experiment), map(str, tried), measured)
    print(f"a step of {experiment.population.size} members: {_listed(seconds)}", file=sys.stderr)
    chosen = fastest(seconds)
    return next(form for form in tried if str(form) == chosen), seconds


def on_devices(experiment: Experiment) -> tuple[Experiment, dict[str, float]]:
    """A run alone with its number of devices, and seconds a step of each number that was measured.

    Where the config leaves it open, that is one, or the most at hand that share the batches evenly.
    """
    most = _most_devices(experiment) if leaves_devices_open(experiment.flat) else 1
    if most == 1:
        return experiment, {}
    tried = {_named(count): count for count in (1, most)}
    per_call = experiment.train.steps_per_call

    def measured() -> dict[str, float]:
        state, batches = first_state(experiment), experiment.training_batches()
        seconds = measure_devices(experiment.task, (1, most), per_call, state, batches)
        return {_named(count): taken for count, taken in seconds.items()}

    seconds = _measured_once(remembered("devices", experiment), tried, measured)
    print(f"a step: {_listed(seconds)}", file=sys.stderr)
    return dataclasses.replace(experiment, devices=tried[fastest(seconds)]), seconds


def remembered(what: str, experiment: Experiment) -> Path:
    """A file of the cache for each program on each kind of machine, to keep what was measured of it."""
    hyper = experiment.hyper
    kept = {key: value for key, value in experiment.flat.items() if key not in WITHOUT_EFFECT and key not in hyper}
    kept = {key: value for key, value in kept.items() if not key.startswith(VARY)}
    kept |= {"absent": sorted(key for key, value in hyper.items() if value is None), "own": experiment.own_batches}
    environment = runtime.environment()
    where = {name: environment[name] for name in ("versions", "device", "cpu", "flags")}
    return runtime.cache_folder() / what / f"{config.fingerprint({**kept, **config.flatten(where)})[:16]}.json"


def _named(count: int) -> str:
    return f"{count} device" + "s" * (count > 1)


def _most_devices(experiment: Experiment) -> int:
    """How many of those at hand share the batches of training and of evaluation evenly."""
    rows = (experiment.train.batch_size // experiment.train.accumulate, experiment.evaluation.batch_size)
    return max(count for count in range(1, jax.local_device_count() + 1) if not any(number % count for number in rows))


def _measured_once(path: Path, names: Iterable[str], measured: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Seconds by name: as they were remembered, some of these names and no other, or measured and remembered now."""
    try:
        kept = {name: float(taken) for name, taken in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        kept = {}
    if kept and kept.keys() <= set(names) and all(0 < seconds < math.inf for seconds in kept.values()):
        return kept
    seconds = measured()
    try:
        write_text(path, json.dumps(seconds) + "\n")
    except (OSError, UserError) as error:
        warn(f"what was measured is not remembered: {error}")
    return seconds


def _listed(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {1000 * taken:.3g} ms" for name, taken in seconds.items())
