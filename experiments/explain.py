"""`./launch.sh explain CONFIG [--config.KEY=VALUE ...]`: what a config says and costs, before any training.

Every key with its value, who set it and what it takes; data; layers and parameters; length; operations; memory, for
which the training step is compiled (and kept for `train`). No data is read: it works offline on an empty cache.
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from dlvr_jax import check, config, runtime
from dlvr_jax.benchmarks import cost
from dlvr_jax.build import Experiment, build
from dlvr_jax.check import Complete
from dlvr_jax.data.batches import is_resident
from dlvr_jax.errors import blamed
from dlvr_jax.layers.tabulate import layers_of
from dlvr_jax.reporting.console import warn
from dlvr_jax.reporting.readable import number
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.schema import Field, allowed
from dlvr_jax.sections import devices_of
from dlvr_jax.training.compiled import FAILS
from experiments.command import arguments, main

ORDER = ("seed", "data", "augment", "model", "task", "train", "optimizer", "eval")  # as in a config file; then others
WHO = {"default": "default", "config": "file", "flag": "flag"}


def explain(argv: Sequence[str]) -> None:
    """Prints it all."""
    parser = arguments("explain", "Every key of a config, who set it, and what training by it costs.")
    parser.add_argument("config", metavar="CONFIG", help="configs/FAMILY/NAME.py, or with an argument NAME.py:tiny")
    known, rest = parser.parse_known_args(argv)
    source = config.find(known.config)
    complete = check.complete(config.load(source), config.flags(rest))
    runtime.start(devices=devices_of(complete.flat))
    experiment = build(complete.flat)
    for note in complete.notes:
        warn(note)
    print(f"{source}\n")
    _print_keys(complete)
    _print_data(experiment)
    _print_layers(experiment)
    _print_length(experiment)
    with blamed(FAILS):
        _print_operations(experiment)
        _print_memory(experiment)


def _print_keys(complete: Complete) -> None:
    """A table a section, in the order in which a config file is read."""
    fields = check.fields(complete.flat)
    sections = {key: key.partition(".")[0] for key in complete.flat}
    keys = sorted(sections, key=lambda key: ORDER.index(sections[key]) if sections[key] in ORDER else len(ORDER))
    for section, members in groupby(keys, key=sections.__getitem__):
        rows = [(k, _written(complete.flat[k]), WHO[complete.origin[k]], _taken(k, fields[k])) for k in members]
        print_table((f"config.{section}", "value", "set by", "takes"), rows)


def _taken(key: str, field: Field) -> str:
    return f"a name in {check.NAMES[key][0]} or your own" if key in check.NAMES else allowed(field)


def _print_data(experiment: Experiment) -> None:
    spec, backing = experiment.data.spec, experiment.flat["data.backing"]
    shapes = ", ".join(f"{name} {_shape(f.shape)} {f.dtype}" for name, f in spec.features.items())
    rows = [
        *[(f"examples, {split}", number(size)) for split, size in spec.splits.items()],
        ("each example", shapes),
        ("classes", "none" if spec.num_classes is None else f"{spec.num_classes}: {', '.join(spec.class_names)}"),
        ("kept", "on the device, whole" if is_resident(spec, "train", backing) else "on the disk, read as needed"),
    ]
    print_table(("data", spec.name), rows)


def _print_layers(experiment: Experiment) -> None:
    e = experiment
    layers, total = layers_of(e.task.init, e.seed, e.hyper, e.example_batch), cost.parameters(e)
    rows = [("  " * x.depth + x.path, x.kind, number(x.parameters), ", ".join(map(_shape, x.outputs))) for x in layers]
    rest = total - sum(layer.parameters for layer in layers)
    rows += [("(repeats of these)", "", number(rest), "")] if rest else []
    header = ("layer", "kind", "parameters", "output, for one batch")
    print_table(header, [*rows, ("all", "", number(total), "")], right=("parameters",))


def _print_length(experiment: Experiment) -> None:
    steps = experiment.train.steps or 0
    examples = steps * experiment.examples_per_step
    epochs = examples / experiment.data.spec.splits["train"]
    print_table(("training steps", number(steps)), [("examples", number(examples)), ("epochs", number(epochs))])


def _print_operations(experiment: Experiment) -> None:
    step, steps = cost.flops_per_step(experiment), experiment.train.steps or 0
    rows = [
        ("training step", _operations(step)),
        ("training", _operations(step * steps)),
        ("evaluating an example", _operations(cost.flops_per_example(experiment))),
    ]
    print_table((f"operations{_of_a_member(experiment)} of", "floating-point; a multiply-add is two"), rows)


def _print_memory(experiment: Experiment) -> None:
    """Last, since it takes a compilation."""
    if sys.stdout.isatty():
        print("compiling the training step ...", end="\r", file=sys.stderr, flush=True)
    memory = cost.memory_per_device(experiment)
    rows = (
        [("not stated by this device", "")]
        if memory is None
        else [
            ("arguments: state, data", _bytes(memory.arguments)),
            ("outputs: state, sums", _bytes(memory.outputs)),
            ("outputs in place of arguments", _bytes(memory.shared)),
            ("temporaries", _bytes(memory.temporaries)),
            ("together", _bytes(memory.total)),
        ]
    )
    print_table((f"memory{_of_a_member(experiment)} of the training step", "on each device"), rows)


def _of_a_member(experiment: Experiment) -> str:
    """A note for headings: costs are of one member; what all take together depends on their form."""
    return " (one member)" if experiment.is_population else ""


def _written(value: Any) -> str:
    """A value as it may be given in a flag."""
    return "none" if value is None else str(list(value)) if isinstance(value, tuple) else str(value)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _operations(count: int) -> str:
    return _scaled(count, 1000, ("", "thousand", "million", "billion", "trillion", "quadrillion"))


def _bytes(count: int) -> str:
    return _scaled(count, 1024, ("bytes", "KiB", "MiB", "GiB", "TiB"))


def _scaled(count: int, base: int, units: Sequence[str]) -> str:
    """In the largest unit of which there is one."""
    power = 0
    while count >= base ** (power + 1) and power < len(units) - 1:
        power += 1
    return f"{count / base**power:,.1f} {units[power]}" if power else f"{count} {units[0]}".rstrip()


if __name__ == "__main__":
    main(explain)
