"""`./launch.sh growth [CONFIG --along KEY=V,V,...] [--out FILE.json]`: how the time of a step grows with one number.

On made-up examples of the data's shapes, so no data are needed. The slope over logarithmic axes is 1 where time is in
proportion to the number, 2 where it grows with its square, and less where something else takes the time.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dlvr_jax import check, config, runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.benchmarks.growth import measure, slope, step_of
from dlvr_jax.benchmarks.ours import on_made_up_data
from dlvr_jax.build import Experiment, build
from dlvr_jax.errors import UserError
from dlvr_jax.reporting import growth as told
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.schema import Between
from experiments.command import arguments, main
from experiments.figures import check_figures, write_figures


@dataclass(frozen=True)
class Axis:
    """A number of a config that grows, and what else is set."""

    config: str
    key: str
    values: tuple[str, ...]
    flags: Mapping[str, str]


LENET, LSTM, GPT = (
    f"configs/{name}.py"
    for name in ("cnn/lenet5_fashion_mnist", "modern_rnn/lstm_shakespeare_1m", "transformer/gpt_shakespeare_1m")
)
NARROW = {"model.width": "128", "model.num_heads": "4", "model.layers": "2", "train.batch_size": "4"}
ONE = {"mesh.data": "1"}  # of several devices each would have its own slope
AXES = (
    Axis(LENET, "train.batch_size", ("32", "64", "128", "256", "512"), {}),
    Axis(LSTM, "train.batch_size", ("8", "16", "32", "64", "128"), ONE),
    Axis(LSTM, "model.features", ("64", "128", "256", "512"), ONE),
    Axis(LSTM, "model.layers", ("1", "2", "4", "8"), ONE | {"model.features": "128"}),
    Axis(LSTM, "data.length", ("16", "32", "64", "128"), ONE | {"model.features": "128"}),
    Axis(LSTM, "population.size", ("1", "2", "4", "8", "16"), ONE | {"model.features": "64", "model.layers": "1"}),
    Axis(GPT, "train.batch_size", ("2", "4", "8", "16"), NARROW),
    Axis(GPT, "model.width", ("64", "128", "256", "512"), NARROW),
    Axis(GPT, "model.layers", ("1", "2", "4", "8"), NARROW),
    Axis(GPT, "data.length", ("128", "256", "512", "1024"), NARROW | {"model.context": "1024"}),
)


def growth(argv: Sequence[str]) -> None:
    """Prints a table for each number as it is measured."""
    parser = arguments("growth", "How the time of a training step grows with a number of its config.")
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="(default: ten numbers of three nets)")
    parser.add_argument(
        "--along",
        action="append",
        default=[],
        metavar="KEY=V,V,...",
        help="the number and its values, from small on; may be given several times",
    )
    parser.add_whole("--rounds", Between(1, 1000), default=10, metavar="N", help="of each measurement (default: 10)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="keep the figures, and a chart beside them")
    known, rest = parser.parse_known_args(argv)
    if bool(known.config) != bool(known.along):
        raise UserError("growth: give a CONFIG and at least one --along KEY=V,V,..., or neither")
    check_figures(known.out)
    given = config.flags(rest)
    axes = [_axis(known.config, along) for along in known.along] or AXES
    if both := given.keys() & {axis.key for axis in axes}:
        raise UserError(f"--config.{min(both)}: is a number that grows here; leave it out")
    runtime.start(devices=runtime.threads_at_hand())
    rows: list[dict[str, Any]] = []
    partial = known.out and known.out.with_name(f"{known.out.stem}.partial-{datetime.now():%Y%m%d-%H%M%S-%f}.json")
    try:
        for axis, experiments in zip(axes, _all_built(axes, given), strict=True):
            rows.append(_measured(axis, given, experiments, known.rounds))
            if partial is not None:
                write_figures(partial, "growth", argv, rows)
    except BaseException:
        if partial is not None and partial.exists():
            print(f"{known.out} is as it was; what was measured is in {partial}", file=sys.stderr)
        raise
    if partial is not None:
        os.replace(partial, known.out)
        write_text(known.out.with_suffix(".svg"), told.chart(rows))
        print(f"figures  {known.out}\nchart    {known.out.with_suffix('.svg')}")


def _axis(name: str, along: str) -> Axis:
    """Raises UserError where the text names no key or fewer than two numbers from small to large."""
    key, _, text = along.partition("=")
    values = tuple(text.split(","))
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = []
    if not key or len(numbers) < 2 or sorted(set(numbers)) != numbers or numbers[0] <= 0:
        raise UserError(f"--along {along}: write KEY=V,V,... with two numbers or more above 0, from small to large")
    return Axis(name, key, values, {})


def _all_built(axes: Sequence[Axis], given: Mapping[str, str]) -> list[list[Experiment]]:
    """The experiments of each axis. Raises UserError with all faults of all values, before any work."""
    built: list[list[Experiment]] = []
    faults: dict[str, None] = {}
    for axis in axes:
        built.append([])
        for value in axis.values:
            flags = {"train.steps_per_call": "1"} | dict(axis.flags) | dict(given) | {axis.key: value}
            try:
                flat = check.complete(config.load(config.find(axis.config)), flags).flat
                built[-1].append(on_made_up_data(build(flat)))
            except UserError as error:
                faults |= dict.fromkeys(error.faults)
    if faults:
        raise UserError(*faults)
    return built


def _measured(axis: Axis, given: Mapping[str, str], experiments: Sequence[Experiment], rounds: int) -> dict[str, Any]:
    """The row of an axis, told as a table."""
    steps, forms = zip(*map(step_of, experiments), strict=True)
    seconds = measure(steps, rounds)
    values = [float(value) for value in axis.values]
    row = {
        "config": axis.config,
        "flags": {**axis.flags, **given},
        "key": axis.key,
        "values": values,
        "forms": forms,
        "seconds": seconds,
        "powers": [slope(values[i : i + 2], seconds[i : i + 2]) for i in range(len(values) - 1)],
        "slope": slope(values, seconds),
    }
    header, cells = told.table(row)
    print_table(header, cells, right=header[2:])
    return row


if __name__ == "__main__":
    main(growth)
