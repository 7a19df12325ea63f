"""What the training loop costs beside the compiled step alone: total wall time over steps times the bare step."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import jax

from dlvr_jax.build import Experiment
from dlvr_jax.run import Run
from dlvr_jax.training.checkpoint import Checkpoints
from dlvr_jax.training.compiled import initial_state, train_program
from dlvr_jax.training.evaluation import Split, evaluate
from dlvr_jax.training.loop import train
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.training import Training

BARE_STEPS = 300  # before the loop and again after it, since machines drift


@dataclass(frozen=True)
class Part:
    """A way to run the loop, its seconds a step, and these over the bare step's."""

    name: str
    seconds_per_step: float
    ratio: float


def measure(experiment: Experiment, steps: int, folder: Path) -> Iterator[Part]:
    """The bare step, then the loop with ever more of its duties. Nothing here counts compilation.

    Args:
        experiment: what to train; its cadences are the "defaults" of the last parts.
        steps: how long each loop runs, a multiple of its cadences.
        folder: an empty one, for the runs.
    """
    placement = Placement.over(experiment.devices)
    splits = {name: Split.place(batches, placement) for name, batches in _batches(experiment).items()}
    _warm_up(experiment, splits, folder)
    never = dataclasses.replace(experiment.train, steps=steps, eval_every=steps, checkpoint_every=steps)
    logged = {"train": splits["train"]}
    ways: Sequence[tuple[str, Any, Any]] = (
        ("logging and progress", never, logged),
        ("and checkpoints", dataclasses.replace(never, checkpoint_every=experiment.train.checkpoint_every), logged),
        ("and evaluation", dataclasses.replace(experiment.train, steps=steps), splits),
    )
    for name, settings, used in ways:
        before = _bare_seconds(experiment, splits["train"])
        state = placement.everywhere(_state(experiment))
        run = Run(folder / name.replace(" ", "-"))
        run.path.mkdir()
        started = time.perf_counter()
        train(Training(run, experiment.task, used, settings, experiment.evaluation, state), 0)
        seconds = (time.perf_counter() - started) / steps
        bare = median([*before, *_bare_seconds(experiment, splits["train"])])
        yield Part("bare step, beside it", bare, 1.0)
        yield Part(name, seconds, seconds / bare)


def _batches(experiment: Experiment) -> dict[str, Any]:
    return {"train": experiment.training_batches(), "validation": experiment.evaluation_batches("validation")}


def _state(experiment: Experiment) -> Any:
    return initial_state(experiment.task, experiment.seed, experiment.hyper, experiment.example_batch)


def _warm_up(experiment: Experiment, splits: dict[str, Split], folder: Path) -> None:
    """Compiles everything, and has orbax imported, which the loop does at its first checkpoint."""
    _bare_seconds(experiment, splits["train"], 3)
    state = splits["validation"].placement.everywhere(_state(experiment))
    evaluate(experiment.task, state, splits["validation"])
    checkpoints = Checkpoints(folder / "warm-up", keep=1)
    checkpoints.save(1, state, {})
    checkpoints.close()


def _bare_seconds(experiment: Experiment, split: Split, steps: int = BARE_STEPS) -> list[float]:
    """Seconds of each step of the compiled program on one batch, each waited for."""
    state = split.placement.everywhere(_state(experiment))
    payload = split.placement.rows(split.batches.payload(0))
    program = train_program(experiment.task, 1, state, split.resident, payload)
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        state, sums = program(state, split.resident, payload)
        jax.block_until_ready((state, sums))
        seconds.append(time.perf_counter() - started)
    return seconds
