"""What the training loop costs beside the compiled step alone: total wall time over steps times the bare step."""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import jax

from dlvr_jax.beginning import first_state
from dlvr_jax.build import Experiment
from dlvr_jax.data.batches import Batches
from dlvr_jax.errors import UserError
from dlvr_jax.run import Run
from dlvr_jax.sections import TrainSection
from dlvr_jax.tasks.task import State
from dlvr_jax.training.cadence import nearest_multiples
from dlvr_jax.training.checkpoint import Checkpoints
from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.evaluation import Split, evaluate
from dlvr_jax.training.loop import train
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.training import Training

BARE_CALLS = 300  # before the loop and again after it, since machines drift


@dataclass(frozen=True)
class Part:
    """A way to run the loop, its seconds a step, and these over the bare step's."""

    name: str
    seconds_per_step: float
    ratio: float


def measure(experiment: Experiment, steps: int, folder: Path) -> Iterator[Part]:
    """The bare step, then the loop with ever more of its duties. Compilation does not count, and nothing is sampled.

    Args:
        experiment: what to train; its cadences are the "defaults" of the last parts.
        steps: how long each loop runs, a multiple of its cadences.
        folder: an empty one, for the runs.

    Raises:
        UserError: it is a population, or the steps are not whole calls.
    """
    refuse_population(experiment)
    _check_steps(experiment, steps)
    placement = experiment.placement
    splits = {name: Split.place(batches, placement) for name, batches in _batches(experiment).items()}
    _warm_up(experiment, splits, folder)
    evaluation = dataclasses.replace(experiment.evaluation, sample_every=None)
    every = dataclasses.replace(experiment.train, steps=steps, early_stopping=None)
    never = dataclasses.replace(every, eval_every=steps, checkpoint_every=steps)
    logged = {"train": splits["train"]}
    ways: list[tuple[str, TrainSection, dict[str, Split]]] = [
        ("logging and progress", never, logged),
        ("and checkpoints", dataclasses.replace(never, checkpoint_every=every.checkpoint_every), logged),
    ]
    if "validation" in splits:
        ways.append(("and evaluation", every, splits))
    for name, settings, used in ways:
        before = _bare_seconds(experiment, splits["train"], BARE_CALLS)
        state = _state(experiment, placement)
        run = Run(folder / name.replace(" ", "-"))
        run.path.mkdir()
        started = time.perf_counter()
        train(Training(run, experiment.task, used, settings, evaluation, state), 0)
        seconds = (time.perf_counter() - started) / steps
        bare = median([*before, *_bare_seconds(experiment, splits["train"], BARE_CALLS)])
        yield Part("bare step, beside it", bare, 1.0)
        yield Part(name, seconds, seconds / bare)


def refuse_population(experiment: Experiment) -> None:
    """Raises UserError for one."""
    if experiment.is_population:
        raise UserError(f"population.size = {experiment.population.size}: a run alone is measured; set it to 1")


def _check_steps(experiment: Experiment, steps: int) -> None:
    """Raises UserError where the steps are not whole calls."""
    per_call = experiment.train.steps_per_call
    if steps < 1 or steps % per_call:
        low, high = nearest_multiples(steps, per_call)
        raise UserError(
            f"--steps {steps}: must be a multiple of train.steps_per_call = {per_call}; use {low} or {high}"
        )


def _batches(experiment: Experiment) -> dict[str, Batches]:
    """Of training and, where the data has such a split, of validation."""
    if not experiment.data.spec.splits["validation"]:
        return {"train": experiment.training_batches()}
    return {"train": experiment.training_batches(), "validation": experiment.evaluation_batches("validation")}


def _state(experiment: Experiment, placement: Placement) -> State:
    return placement.state(first_state(experiment), experiment.task.micro)


def _warm_up(experiment: Experiment, splits: dict[str, Split], folder: Path) -> None:
    """Compiles everything, and has orbax imported, which the loop does at its first checkpoint."""
    _bare_seconds(experiment, splits["train"], 3)
    state = _state(experiment, splits["train"].placement)
    if "validation" in splits:
        evaluate(experiment.task, state, splits["validation"])
    checkpoints = Checkpoints(folder / "warm-up", keep=1)
    checkpoints.save(1, state, {})
    checkpoints.close()


def _bare_seconds(experiment: Experiment, split: Split, calls: int) -> list[float]:
    """Seconds a step in each call of the compiled program on the same batches, each call waited for."""
    task, per_call = experiment.task, experiment.train.steps_per_call
    state, payload = _state(experiment, split.placement), split.first_call(per_call, task.micro)
    program = train_program(task, per_call, state, split.resident, payload)
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        state, sums = program(state, split.resident, payload)
        jax.block_until_ready((state, sums))
        seconds.append((time.perf_counter() - started) / per_call)
    return seconds
