"""Every config's `tiny`, found by scanning: a new config is covered by the tests that exist."""

import re
from functools import lru_cache

import jax
import numpy as np
import pytest

from dlvr_jax import check, config
from dlvr_jax.build import Experiment, build
from dlvr_jax.training.checkpoint import named_leaves
from dlvr_jax.training.compiled import initial_state, train_program

MOMENT = r"(\d+/)+(trace|mu)/"  # where optax keeps the sum of momentum, and Adam's mean of gradients
# Studies vary what others are: each point is checked by tests/sweeps/test_studies.py.
PATHS = sorted(
    (
        str(path.relative_to(config.ROOT))
        for path in (config.ROOT / "configs").glob("*/*.py")
        if path.stem != "__init__" and path.parent.name != "studies"
    ),
    key=lambda path: (config.place_of(path.split("/")[1]), path),
)


def _first_of_each(*beginnings: str) -> pytest.MarkDecorator:
    """One config of each kind, the first; the others are `slow`.

    A kind is what the words and switches say whose keys begin like this; its configs differ in sizes and figures.
    """
    first: dict[object, str] = {}
    for path in PATHS:
        values = config.load(config.find(f"{path}:tiny"))
        words = {key: value for key, value in values.items() if isinstance(value, str | bool)}
        first.setdefault(tuple(sorted(item for item in words.items() if item[0].startswith(beginnings))), path)
    return pytest.mark.parametrize(
        "path", [pytest.param(path, marks=() if path in first.values() else pytest.mark.slow) for path in PATHS]
    )


every_config = pytest.mark.parametrize("path", PATHS)
every_network = _first_of_each("model.", "task.")  # words and switches change what a model is made of
every_model = _first_of_each("model.name", "task.")  # with each task that it is trained for
every_task = _first_of_each("task.")


@lru_cache(maxsize=64)
def tiny(path: str, **flags: str) -> Experiment:
    """The experiment of a config's `tiny`, with flags over it (`train__steps="4"` is --config.train.steps=4)."""
    source = config.find(f"{path}:tiny")
    return build(
        check.complete(config.load(source), {key.replace("__", "."): text for key, text in flags.items()}).flat
    )


def plain(path: str, **flags: str) -> Experiment:
    """`tiny` with the gradient as its update, and at most two updates of a player: the form compared with others.

    What rounding does to a first update, the next ones multiply.
    """
    known = tiny(path).flat
    others = ("optimizer.l2", "optimizer.clip_norm", "optimizer.weight_decay")
    alike = {key: "none" for key in others if known.get(key) is not None}
    alike |= {"optimizer.name": "sgd", "optimizer.schedule": "constant", "optimizer.learning_rate": "1"}
    alike |= {"optimizer.momentum": "none", "optimizer.nesterov": "false"}
    if known.get("task.critic_steps", 1) > 1:  # where a whole gradient takes a critic, its penalty is steep
        alike |= {"task.critic_steps": "2", "optimizer.learning_rate": "0.001"}
    return tiny(path, **({key.replace(".", "__"): text for key, text in alike.items()} | flags))


def gradient_of(before, after) -> dict[str, np.ndarray]:
    """Of each parameter, by name: the gradient of the step between two states, up to a factor for each player.

    The optimizer's first moment is that: of a player of several updates their mean, of SGD with what `l2` adds.
    """
    moments = named_leaves(jax.device_get(after.opt_state)).items()
    found = {re.sub(MOMENT, "", name): leaf.astype(np.float64) for name, leaf in moments if re.search(MOMENT, name)}
    l2 = float(before.hyper["optimizer.l2"] or 0)
    params = named_leaves(jax.device_get(before.params))
    return {name: leaf - l2 * params[name] * (leaf.ndim > 1) for name, leaf in found.items()}


def state_of(experiment: Experiment, seed: int = 0):
    """Its state before the first update."""
    return initial_state(experiment.task, seed, experiment.hyper, experiment.example_batch)


def run_steps(experiment: Experiment, state, steps: int):
    """The state after some updates, and the sums of each."""
    batches, sums = experiment.training_batches(), []
    for step in range(steps):
        payload = batches.payload(step)
        state, one = train_program(experiment.task, 1, state, batches.resident, payload)(
            state, batches.resident, payload
        )
        sums.append(jax.device_get(one))
    return state, sums


def ratios(sums) -> dict[str, np.ndarray]:
    """Each sum divided, over the steps."""
    return {name: np.array([one[name][0] / one[name][1] for one in sums]) for name in sums[0]}
