"""What is wrong between keys of a config that are each right."""

from collections.abc import Iterator, Mapping
from typing import Any

from dlvr_jax.sections import VARY
from dlvr_jax.training.cadence import nearest_multiples

CADENCES = ("train.log_every", "train.eval_every", "train.checkpoint_every", "eval.sample_every", "train.steps")


def cross_faults(flat: Mapping[str, Any], train_examples: int | None) -> list[str]:
    """A line for each. Keys that are wrong by themselves are not in `flat`, and what needs them is not looked at.

    `train_examples` is the size of the train split, None where the data cannot be made.
    """
    checks = (_length, _warmup, _nesterov, _rows, _members, _multiples, _buckets, _stopping)
    return [fault for check in checks for fault in check(_Sound(flat), train_examples)]


def steps_of_epochs(flat: Mapping[str, Any], train_examples: int) -> int:
    """How many steps `train.epochs` are, rounded up; a step of a GAN reads a batch for each update of its critic."""
    examples_per_step = flat["train.batch_size"] * (flat.get("task.critic_steps") or 1)
    return int(-(-flat["train.epochs"] * train_examples // examples_per_step))


class _Sound(dict[str, Any]):
    """The sound keys; one that is not sound is None, as one that is not given."""

    def __missing__(self, key: str) -> None:
        return None


def _length(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    known = "train.steps" in flat and "train.epochs" in flat
    if known and (flat["train.steps"] is None) == (flat["train.epochs"] is None):
        yield "train.steps and train.epochs: give exactly one of them"


def _warmup(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    warmup, steps = flat["optimizer.warmup_steps"], flat["train.steps"]
    if steps is None and examples and flat["train.epochs"] and flat["train.batch_size"]:
        steps = steps_of_epochs(flat, examples)
    if warmup and steps and warmup > steps:
        yield f"optimizer.warmup_steps = {warmup} is longer than the run of {steps} steps; shorten it"


def _nesterov(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    key = "optimizer.momentum"
    if flat["optimizer.nesterov"] and key in flat and flat[key] is None and flat[VARY + key] is None:
        yield "optimizer.nesterov: is a kind of momentum; give optimizer.momentum too"


def _rows(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    """Batches split evenly over devices and micro-batches, and streams have as many examples as rows."""
    devices = 1 if (flat["population.size"] or 1) > 1 else (flat["mesh.data"] or 1) * (flat["mesh.fsdp"] or 1)
    parts = flat["train.accumulate"] or 1
    for key, unit in (("train.batch_size", devices * parts), ("eval.batch_size", devices)):
        if flat[key] is not None and flat[key] % unit:
            over = f"{devices} devices" + (f" times {parts} micro-batches" if unit > devices else "")
            low, high = nearest_multiples(flat[key], unit)
            yield f"{key} = {flat[key]} does not split over {over}; use {low} or {high}"
    rows = flat["train.batch_size"]
    if flat["data.order"] == "streams" and examples and rows and rows > examples:
        yield f"train.batch_size = {rows}: data.order = streams has only {examples} examples for its rows"


def _members(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    """A population has a seed and a value for each member, and as many members on each device."""
    size, devices = flat["population.size"] or 1, flat["mesh.data"] or 1
    for key in ("population.seeds", *(key for key in flat if key.startswith(VARY))):
        if flat[key] is not None and len(flat[key]) != size:
            yield f"{key}: has {len(flat[key])} values, but population.size = {size}; give one for each member"
    if size > 1 and size % devices:
        low, high = nearest_multiples(size, devices)
        yield f"population.size = {size} does not split over {devices} devices; use {low} or {high}"
    if flat["mesh.data"] is None and (flat["mesh.fsdp"] or 1) > 1:
        yield f"mesh.data: must be a number beside mesh.fsdp = {flat['mesh.fsdp']}"
    if size > 1 and (flat["mesh.fsdp"] or 1) > 1:
        yield f"mesh.fsdp = {flat['mesh.fsdp']}: each member of a population is whole on its device; use mesh.data"


def _multiples(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    per_call = flat["train.steps_per_call"] or 1
    for key in CADENCES:
        if flat[key] is not None and flat[key] % per_call:
            low, high = nearest_multiples(flat[key], per_call)
            yield f"{key} = {flat[key]} is no multiple of train.steps_per_call = {per_call}; use {low} or {high}"


def _buckets(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    """A batch's bucket follows from its step, and each bucket has a program."""
    given = f"train.length_buckets = {flat['train.length_buckets']}"
    if flat["train.length_buckets"] is None:
        return
    if flat["data.order"] == "streams":
        yield f"{given}: data.order = streams says which examples go together; leave one of the two"
    if (flat["train.steps_per_call"] or 1) > 1:
        yield f"{given}: steps of one call have one width; use train.steps_per_call = 1"


def _stopping(flat: Mapping[str, Any], examples: int | None) -> Iterator[str]:
    if flat["train.early_stopping"] is not None and "eval.best" in flat and flat["eval.best"] is None:
        yield "train.early_stopping: needs eval.best, the metric to watch"
