"""What a config costs, from shapes alone: no data is read and no array is made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from dlvr_jax.benchmarks.flops import count_flops
from dlvr_jax.build import Experiment
from dlvr_jax.data.batches import is_resident
from dlvr_jax.data.sources import Spec
from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.sharding import Placement


@dataclass(frozen=True)
class Memory:
    """Bytes on each device, as the compiled training program states them."""

    arguments: int  # state, resident data, one batch
    outputs: int  # the next state and the sums
    shared: int  # outputs that take an argument's place: the state
    temporaries: int

    @property
    def total(self) -> int:
        """What must fit on the device at once."""
        return self.arguments + self.outputs - self.shared + self.temporaries


def parameters(experiment: Experiment) -> int:
    """How many numbers are learned."""
    return sum(leaf.size for leaf in jax.tree.leaves(experiment.abstract_state.params))


def tokens(spec: Spec) -> int | None:
    """How many a model reads of an example, padding included: of a window of a text all but the last. None without."""
    lengths = {name: spec.features[name].shape[0] for name in ("tokens", "source", "target") if name in spec.features}
    if not lengths:
        return None
    shifted = "target" in lengths or not {"label", "tags"} & spec.features.keys()  # the last is only predicted
    return sum(lengths.values()) - int(shifted)


def flops_per_step(experiment: Experiment) -> int:
    """Of one update, with its whole batch; see `flops.py` for what counts."""
    return _flops(experiment.task.train_step, experiment.abstract_state, experiment.example_batch)


def flops_per_example(experiment: Experiment) -> int:
    """Of evaluating one example, rounded: an evaluation batch over its size."""
    task, batch, size = experiment.task, experiment.evaluation_batch, experiment.evaluation.batch_size
    carry = jax.eval_shape(task.initial_carry, batch)
    return round(_flops(task.eval_step, experiment.abstract_state, batch, carry) / size)


def _flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Of what the results need."""
    traced = jax.make_jaxpr(function)(*arguments)
    needed, _ = dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    return count_flops(ClosedJaxpr(needed, traced.consts))


def memory_per_device(experiment: Experiment) -> Memory | None:
    """Of training, by compiling the very program that `train` runs; None where the backend does not say."""
    return memory_of(compiled_step(experiment)[0])


def compiled_step(experiment: Experiment) -> tuple[Any, tuple[Any, ...]]:
    """The program that `train` runs, and its arguments in shape: state, resident, payload.

    Of a population it is that of one member, which is whole on one device.
    """
    task, per_call = experiment.task, experiment.train.steps_per_call
    devices = 1 if experiment.is_population else experiment.devices
    placement = Placement.over(devices, fsdp=experiment.fsdp)
    state = placement.abstract(experiment.abstract_state, task.micro)
    arguments = (state, *_resident_and_payload(experiment, placement))
    return train_program(task, per_call, *arguments), arguments


def memory_of(program: Any) -> Memory | None:
    """As a compiled program states it; None where the backend does not say."""
    stated = program.memory_analysis()
    if stated is None:
        return None
    return Memory(
        stated.argument_size_in_bytes,
        stated.output_size_in_bytes,
        stated.alias_size_in_bytes,
        stated.temp_size_in_bytes,
    )


def _resident_and_payload(experiment: Experiment, placement: Placement) -> tuple[dict[str, Any], dict[str, Any]]:
    """What lies on the devices for the whole run, and what the host sends for a call."""
    spec, batch = experiment.data.spec, experiment.example_batch
    resident = {}
    if is_resident(spec, "train", experiment.flat["data.backing"]):
        shapes = {name: (spec.splits["train"], *feature.shape) for name, feature in spec.features.items()}
        resident = {
            name: jax.ShapeDtypeStruct(shape, batch[name].dtype, sharding=placement.copied)
            for name, shape in shapes.items()
        }
    calls = (experiment.train.steps_per_call,) if experiment.train.steps_per_call > 1 else ()
    leading = len(calls) + (experiment.task.micro > 1)
    split = placement.split(leading) if placement.mesh.size > 1 else None
    sent = {name: leaf for name, leaf in batch.items() if name not in resident}
    return resident, {
        n: jax.ShapeDtypeStruct((*calls, *leaf.shape), leaf.dtype, sharding=split) for n, leaf in sent.items()
    }
