"""From a complete config to the objects that it names: model, task, data, hyper."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlvr_jax.check import FILLED, Flat, hyper_keys, named, own_arguments
from dlvr_jax.data.augment import augment
from dlvr_jax.data.batches import Batches, evaluation_batches, training_batches
from dlvr_jax.data.sources import Source
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Bound, fields_of
from dlvr_jax.sections import EvalSection, TrainSection
from dlvr_jax.tasks.from_loss import LossTask
from dlvr_jax.tasks.task import Task
from dlvr_jax.training.optimizers import Chain


@dataclass(frozen=True)
class Experiment:
    """Everything that a training needs. Nothing is read, no array exists, until a split is asked for."""

    flat: Flat
    data: Source
    model: Any
    task: Task
    train: TrainSection  # with `steps` given
    evaluation: EvalSection
    hyper: dict[str, float | None]
    seed: np.uint32
    devices: int

    @cached_property
    def example_batch(self) -> dict[str, Any]:
        """A training batch in shape, all zeros."""
        size = self.train.batch_size // self.train.accumulate
        leading = (size,) if self.train.accumulate == 1 else (self.train.accumulate, size)
        features = {n: np.zeros((*leading, *f.shape), f.dtype) for n, f in self.data.spec.features.items()}
        return features | {"index": np.zeros(leading, np.int32), "mask": np.ones(leading, bool)}

    def training_batches(self) -> Batches:
        """The endless batches of the train split."""
        seed = self.flat["data.seed"]
        return training_batches(
            self.data,
            batch_size=self.train.batch_size,
            seed=int(self.seed) if seed is None else seed,
            micro=self.train.accumulate if self.train.accumulate > 1 else None,
            backing=self.flat["data.backing"],
        )

    def evaluation_batches(self, split: str) -> Batches:
        """The batches of a split, each example once."""
        return evaluation_batches(
            self.data, split, batch_size=self.evaluation.batch_size, backing=self.flat["data.backing"]
        )


def build(flat: Flat) -> Experiment:
    """The experiment of a complete config (see `check.complete`).

    Raises:
        UserError: what can only be seen with the parts at hand: lengths, shapes, metric names.
    """
    data: Source = named(flat, "data.name")(**own_arguments(flat, "data"))
    train = _train_section(flat, data.spec.splits["train"])
    model = _model(flat, data)
    hyper = {key: flat[key] for key in hyper_keys(flat)}
    task = LossTask(_objective(flat, data, model), _optimizer(flat, train), train.accumulate)
    evaluation = EvalSection(**_section(flat, "eval"))
    experiment = Experiment(
        flat, data, model, task, train, evaluation, hyper, np.uint32(flat["seed"]), flat["mesh.data"]
    )
    _check_shapes(experiment)
    return experiment


def _train_section(flat: Flat, examples: int) -> TrainSection:
    """With epochs turned into steps, rounded up to whole calls."""
    train = TrainSection(**_section(flat, "train"))
    if train.steps is None:
        assert train.epochs is not None
        steps = -(-train.epochs * examples // train.batch_size)
        train = dataclasses.replace(train, steps=-(-steps // train.steps_per_call) * train.steps_per_call)
    warmup = flat.get("optimizer.warmup_steps", 0)
    if warmup > (train.steps or 0):
        raise UserError(f"optimizer.warmup_steps = {warmup} is longer than the run of {train.steps} steps; shorten it")
    return train


def _section(flat: Flat, name: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in flat.items() if key.startswith(name + ".")}


def _filled(target: Callable[..., Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Of the parts that a config never names, those that the target takes."""
    return {name: value for name, value in parts.items() if name in FILLED and name in fields_of(target)}


def _model(flat: Flat, data: Source) -> Any:
    target, spec = named(flat, "model.name"), data.spec
    parts = {
        "num_classes": spec.num_classes,
        "vocab_size": spec.vocab_size,
        "dtype": jnp.dtype(flat["train.precision"]),
    }
    return target(**own_arguments(flat, "model"), **_filled(target, parts))


def _objective(flat: Flat, data: Source, model: Any) -> Any:
    target, spec = named(flat, "task.name"), data.spec
    if "class_names" in fields_of(target) and spec.num_classes is None:
        raise UserError(f"data.name = {flat['data.name']}: has no classes, which {flat['task.name']} needs")
    arguments = {**own_arguments(flat, "augment"), "num_classes": spec.num_classes}
    parts = {
        "model": model,
        "class_names": spec.class_names,
        "mean": spec.mean,
        "std": spec.std,
        "augment": Bound(augment, tuple(sorted(arguments.items()))),
    }
    return target(**own_arguments(flat, "task"), **_filled(target, parts))


def _optimizer(flat: Flat, train: TrainSection) -> Chain:
    direction, schedule = named(flat, "optimizer.name"), named(flat, "optimizer.schedule")
    structure = own_arguments(flat, "optimizer")
    bound = [
        Bound(f, tuple(sorted((k, v) for k, v in structure.items() if k in fields_of(f))))
        for f in (direction, schedule)
    ]
    own = frozenset(name for name, field in fields_of(direction).items() if field.hyper)
    assert train.steps is not None
    return Chain(bound[0], bound[1], train.steps, own)


def _check_shapes(experiment: Experiment) -> None:
    """Traces model and task on the data's shapes, and asks the task for its metrics' names."""
    e = experiment
    batch = jax.tree.map(lambda leaf: leaf[0], e.example_batch) if e.train.accumulate > 1 else e.example_batch
    try:
        state = jax.eval_shape(e.task.init, e.seed, e.hyper, e.example_batch)
        sums, outputs, _ = jax.eval_shape(e.task.eval_step, state, batch, None)
    except Exception as error:  # the model may be the user's own, and fail in any way
        shapes = {name: feature.shape for name, feature in e.data.spec.features.items()}
        raise UserError(
            f"model.name = {e.flat['model.name']}: fails on {shapes} of data.name = {e.flat['data.name']}: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), (sums, outputs))
    names = e.task.finish(*ones)
    if e.evaluation.best is not None and e.evaluation.best not in names:
        shown = ", ".join(name for name in names if "/" not in name)
        raise UserError(f"eval.best = {e.evaluation.best}: no such metric; there are {shown}")
