"""From a complete config to the objects that it names: model, task, data, hyper."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlvr_jax.check import FILLED, Flat, hyper_keys, named, own_arguments, source
from dlvr_jax.cross_check import steps_of_epochs
from dlvr_jax.data.augment import augment
from dlvr_jax.data.batches import Batches, evaluation_batches, of_members, training_batches
from dlvr_jax.data.length_buckets import have_lengths
from dlvr_jax.data.some_images import some_images
from dlvr_jax.data.sources import Source, Spec
from dlvr_jax.errors import UserError, blamed
from dlvr_jax.schema import REQUIRED, Bound, fields_of
from dlvr_jax.sections import EvalSection, PopulationSection, TrainSection, devices_of, seeds_of, varied_of
from dlvr_jax.tasks.from_loss import LossTask
from dlvr_jax.tasks.task import State, Task
from dlvr_jax.training.optimizers import Chain
from dlvr_jax.training.population import Population
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.strategy import Form

KNOWN = 5_000  # training images among which the nearest to generated ones are looked for


@dataclass(frozen=True)
class Experiment:
    """Everything that a training needs. Nothing is read, no array exists, until a split is asked for."""

    flat: Flat
    data: Source
    model: Any
    task: Task
    train: TrainSection  # with `steps` given
    evaluation: EvalSection
    hyper: dict[str, float | None]  # of the first member
    devices: int
    fsdp: int  # of them share out parameters; see MeshSection
    population: PopulationSection

    @property
    def is_population(self) -> bool:
        """Whether it is several trainings as one."""
        return self.population.size > 1

    def population_of(self, form: Form) -> Population:
        """The task of all members together."""
        return Population(self.task, self.population.size, self.own_batches, form.strategy, form.devices)

    @property
    def placement(self) -> Placement:
        """Where its arrays go.

        Raises:
            UserError: there are not that many devices.
        """
        return Placement.over(self.devices, self.is_population, self.fsdp)

    @property
    def examples_per_step(self) -> int:
        """How many examples an update reads."""
        return self.train.batch_size * self.task.batches_per_step

    @cached_property
    def example_batch(self) -> dict[str, Any]:
        """A training batch in shape, all zeros."""
        micro = self.task.micro
        return self._zeros((self.examples_per_step,) if micro == 1 else (micro, self.examples_per_step // micro))

    @cached_property
    def evaluation_batch(self) -> dict[str, Any]:
        """A batch of an evaluation in shape, all zeros."""
        return self._zeros((self.evaluation.batch_size,))

    @cached_property
    def abstract_state(self) -> State:
        """The shapes and types of a state."""
        state: State = jax.eval_shape(self.task.init, self.seed, self.hyper, self.example_batch)
        return state

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Of each member; of a run alone its own."""
        return seeds_of(self.flat)

    @property
    def seed(self) -> np.uint32:
        """Of the first member."""
        return np.uint32(self.seeds[0])

    @property
    def hypers(self) -> list[dict[str, float | None]]:
        """Of each member."""
        return [self.hyper | self.varied(k) for k in range(self.population.size)]

    def varied(self, k: int) -> dict[str, float | None]:
        """The hyper in which members differ, of one of them."""
        return varied_of(self.flat, k)

    @property
    def own_batches(self) -> bool:
        """Whether members see other batches than each other."""
        return self.flat["data.seed"] is None and self.flat["data.order"] != "streams" and len(set(self.seeds)) > 1

    def training_batches(self) -> Batches:
        """The endless batches of the train split; of a population with the members' own in front of each."""
        if not self.own_batches:
            return self._batches_of(self.seeds[0])
        return of_members([self._batches_of(seed) for seed in self.seeds])

    def _batches_of(self, seed: int) -> Batches:
        given = self.flat["data.seed"]
        return training_batches(
            self.data,
            batch_size=self.examples_per_step,
            seed=seed if given is None else given,
            micro=self.task.micro if self.task.micro > 1 else None,
            order=self.flat["data.order"],
            backing=self.flat["data.backing"],
            length_buckets=self.train.length_buckets,
            shared_seed=given or 0,  # which members and runs alone have in common
        )

    def evaluation_batches(self, split: str) -> Batches:
        """The batches of a split, each example once."""
        return evaluation_batches(
            self.data,
            split,
            batch_size=self.evaluation.batch_size,
            order=self.flat["data.order"],
            backing=self.flat["data.backing"],
        )

    def _zeros(self, leading: tuple[int, ...]) -> dict[str, Any]:
        batch = {n: np.zeros((*leading, *f.shape), f.dtype) for n, f in self.data.spec.features.items()}
        batch |= {"index": np.zeros(leading, np.int32), "mask": np.ones(leading, bool)}
        return batch | ({"reset": np.zeros(leading, bool)} if self.flat["data.order"] == "streams" else {})


def build(flat: Flat) -> Experiment:
    """The experiment of a complete config (see `check.complete`).

    Raises:
        UserError: what can only be seen with the parts at hand: shapes, what the data lack, metric names.
    """
    data = source(flat)
    train = _train_section(flat, data.spec.splits["train"])
    model, optimizer = _model(flat, data.spec), _optimizer(flat, train)
    task = _task(flat, data, model, optimizer)
    first = {**flat, **varied_of(flat, 0)}
    hyper = {key: first[key] for key in hyper_keys(flat)}
    evaluation = EvalSection(**_section(flat, "eval"))
    population = PopulationSection(**{name: flat[f"population.{name}"] for name in fields_of(PopulationSection)})
    devices, fsdp = devices_of(flat), flat["mesh.fsdp"]
    experiment = Experiment(flat, data, model, task, train, evaluation, hyper, devices, fsdp, population)
    _check_wishes(experiment)
    _check_shapes(experiment)
    return experiment


def _train_section(flat: Flat, examples: int) -> TrainSection:
    """With epochs turned into steps, rounded up to whole calls."""
    train = TrainSection(**_section(flat, "train"))
    if train.steps is not None:
        return train
    steps = steps_of_epochs(flat, examples)
    return dataclasses.replace(train, steps=-(-steps // train.steps_per_call) * train.steps_per_call)


def _section(flat: Flat, name: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in flat.items() if key.startswith(name + ".")}


def _of_the_data(spec: Spec) -> dict[str, Any]:
    """What models and tasks may take of the data set, None where it has none."""
    shapes = {name: feature.shape for name, feature in spec.features.items()}
    target = spec.target_tokenizer
    return {
        "num_classes": spec.num_classes,
        "image_shape": shapes.get("image"),
        "sample_shape": next(iter(shapes.values())),
        "vocab_size": spec.vocab_size,
        "target_vocab_size": None if target is None else target.size,
        "horizon": shapes["future"][0] if "future" in shapes else None,
        "channels": shapes["history"][-1] if "history" in shapes else None,
    }


def _made(flat: Flat, section: str, parts: Mapping[str, Any]) -> Any:
    """What a section names, called with its own arguments and, of the parts that no config names, those it takes."""
    target = named(flat, f"{section}.name")
    filled: dict[str, Any] = {}
    for name, field in fields_of(target).items():
        if name not in FILLED[section] or name not in parts:
            continue
        if parts[name] is None and field.default is REQUIRED:
            raise UserError(
                f"data.name = {flat['data.name']}: has no {name.replace('_', ' ')}, "
                f"which {section}.name = {flat[f'{section}.name']} needs"
            )
        filled |= {} if parts[name] is None else {name: parts[name]}
    return target(**own_arguments(flat, section), **filled)


def _model(flat: Flat, spec: Spec) -> Any:
    return _made(flat, "model", _of_the_data(spec) | {"dtype": jnp.dtype(flat["train.precision"])})


def _task(flat: Flat, data: Source, model: Any, optimizer: Chain) -> Task:
    """A task with a step of its own as it is, an objective made into a task."""
    target, spec = named(flat, "task.name"), data.spec
    parts = _of_the_data(spec) | {
        "model": model,
        "optimizer": optimizer,
        "class_names": spec.class_names or None,
        "mean": spec.mean or None,
        "std": spec.std or None,
        "tokenizer": spec.tokenizer,
        "target_tokenizer": spec.target_tokenizer,
        "period": spec.period,
        "training_images": partial(some_images, data, "train", KNOWN) if "image" in spec.features else None,
    }
    if "augment" in fields_of(target):
        if spec.num_classes is None:
            raise UserError(f"data.name = {flat['data.name']}: has no classes, which {flat['task.name']} needs")
        arguments = {**own_arguments(flat, "augment"), "num_classes": spec.num_classes}
        parts["augment"] = Bound(augment, tuple(sorted(arguments.items())))
    made = _made(flat, "task", parts)
    if hasattr(target, "loss"):
        return LossTask(made, optimizer, flat["train.accumulate"])
    if flat["train.accumulate"] > 1:
        raise UserError(f"train.accumulate = {flat['train.accumulate']}: {flat['task.name']} takes no micro-batches")
    task: Task = made
    return task


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


def _check_wishes(experiment: Experiment) -> None:
    """What the config asks of the task, the model and the data that they may not have."""
    e, faults = experiment, []
    best, directions = e.evaluation.best, e.task.directions
    if best is not None and best not in directions:
        faults.append(f"eval.best = {best}: no such metric; there are {', '.join(directions)}")
    if best is not None and not e.data.spec.splits["validation"]:
        faults.append(f"eval.best = {best}: data.name = {e.flat['data.name']} has no validation split to choose by")
    sizes = e.data.spec.splits
    faults += [
        f"data.name = {e.flat['data.name']}: its {name} split is empty" for name in ("train", "test") if not sizes[name]
    ]
    if e.flat["data.order"] == "streams" and e.examples_per_step > sizes["train"] > 0:
        faults.append(f"data.order = streams: has {sizes['train']} examples for {e.examples_per_step} rows")
    if e.train.length_buckets is not None and not have_lengths(e.data.spec.features):
        faults.append(
            f"train.length_buckets = {e.train.length_buckets}: the examples of data.name = {e.flat['data.name']} "
            "do not differ in length; leave it none"
        )
    if e.evaluation.sample_every is not None and e.task.sample is None and e.task.show is None:
        faults.append(f"eval.sample_every: {e.flat['task.name']} has nothing to show; leave it none")
    if e.train.precision != "float32" and "dtype" not in fields_of(type(e.model)):
        faults.append(f"train.precision = {e.train.precision}: {e.flat['model.name']} has only float32")
    if faults:
        raise UserError(*faults)


def _check_shapes(experiment: Experiment) -> None:
    """Traces model and task on the data's shapes."""
    e = experiment
    shapes = {name: feature.shape for name, feature in e.data.spec.features.items()}
    with blamed(f"model.name = {e.flat['model.name']}: fails on {shapes} of data.name = {e.flat['data.name']}"):
        carry = jax.eval_shape(e.task.initial_carry, e.evaluation_batch)
        jax.eval_shape(e.task.eval_step, e.abstract_state, e.evaluation_batch, carry)
