"""How a population is computed on this machine: named by the config, or measured once and remembered in the cache."""

import json
import sys
from pathlib import Path
from typing import get_args

from dlvr_jax import config, runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.build import Experiment
from dlvr_jax.data.prefetch import payloads
from dlvr_jax.sections import VARY
from dlvr_jax.tasks.task import State
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.population import Strategy
from dlvr_jax.training.strategy import fastest, measure

# Keys that change no operation of a step; values of `vary` and other hyper change none either.
WITHOUT_EFFECT = ("seed", "data.seed", "population.seeds", "population.strategy", "train.steps", "train.epochs")


def strategy_of(experiment: Experiment, state: State, split: Split) -> tuple[Strategy, dict[str, float]]:
    """The strategy, and seconds a step of each that was measured."""
    named = experiment.population.strategy
    if named != "auto":
        return named, {}
    path = remembered("strategies", experiment)
    seconds = _read(path)
    if seconds is None:
        seconds = _measured(experiment, state, split)
        write_text(path, json.dumps(seconds) + "\n")
    told = ", ".join(f"{strategy} {1000 * taken:.3g} ms" for strategy, taken in seconds.items())
    print(f"a step of {experiment.population.size} members: {told}", file=sys.stderr)
    return fastest(seconds), {str(strategy): taken for strategy, taken in seconds.items()}


def _measured(experiment: Experiment, state: State, split: Split) -> dict[Strategy, float]:
    per_call, micro = experiment.train.steps_per_call, experiment.task.micro > 1
    payload = next(payloads(split.batches, 0, per_call, per_call=per_call))
    sent = split.placement.rows(payload, (per_call > 1) + micro)
    return measure(experiment.population_of, per_call, state, split.resident, sent)


def remembered(what: str, experiment: Experiment) -> Path:
    """A file of the cache for each program on each kind of machine, to keep what was measured of it."""
    hyper = experiment.hyper
    kept = {key: value for key, value in experiment.flat.items() if key not in WITHOUT_EFFECT and key not in hyper}
    kept = {key: value for key, value in kept.items() if not key.startswith(VARY)}
    kept |= {"absent": sorted(key for key, value in hyper.items() if value is None)}
    environment = runtime.environment()
    where = {name: environment[name] for name in ("versions", "device", "cpu", "flags")}
    return runtime.cache_folder() / what / f"{config.fingerprint({**kept, **config.flatten(where)})[:16]}.json"


def _read(path: Path) -> dict[Strategy, float] | None:
    """What was measured before; None where there is nothing that can be read."""
    try:
        seconds: dict[Strategy, float] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return seconds if isinstance(seconds, dict) and seconds and set(seconds) <= set(get_args(Strategy)) else None
