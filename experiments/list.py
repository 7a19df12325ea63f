"""`./launch.sh list`: every config in configs/, with its size, its budget and its result."""

from collections.abc import Sequence

import jax

from dlvr_jax import check, config
from dlvr_jax.benchmarks.cost import parameters
from dlvr_jax.build import Experiment, build
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.readable import duration, number
from dlvr_jax.reporting.results import Result, of_config, read_all
from dlvr_jax.reporting.tables import print_table
from experiments.command import arguments, main


def list_configs(argv: Sequence[str]) -> None:
    """A table a family. A config that fails says so in its row, and does not hide the others.

    Raises:
        UserError: some config fails, or a result cannot be read; after everything else is printed.
    """
    arguments("list", "Every config: model, parameters, data, budget, result.").parse_args(argv)
    jax.config.update("jax_platforms", "cpu")  # only shapes are looked at
    results, faults = _results()
    for family in sorted(_families(), key=config.place_of):
        rows = []
        for file in sorted((config.ROOT / "configs" / family).glob("[!_]*.py")):
            try:
                rows.append(_row(config.Source(file), results))
            except Exception as error:  # a mistake of any kind in a config or in what it names
                fault = (
                    str(error).partition("\n")[0]
                    if isinstance(error, UserError)
                    else f"{type(error).__name__}: {error}"
                )
                rows.append((file.stem, "-", "-", "-", "-", f"fails: {fault}"))
                faults.append(f"{file.relative_to(config.ROOT)} fails, as its row says")
        print_table((family, "model", "parameters", "data", "budget", "result"), rows, right=("parameters",))
    if faults:
        raise UserError(*faults)


def _families() -> set[str]:
    return {file.parent.name for file in (config.ROOT / "configs").glob("*/[!_]*.py")}


def _results() -> tuple[list[Result], list[str]]:
    """The measured results, or why they cannot be read."""
    try:
        return read_all(config.ROOT / "docs" / "results"), []
    except UserError as error:
        return [], list(error.faults)


def _row(source: config.Source, results: Sequence[Result]) -> tuple[str, ...]:
    experiment = build(check.complete(config.load(source), {}).flat)
    model, known = experiment.flat["model.name"].rpartition(".")[2], of_config(results, str(source))
    return (
        source.name,
        model,
        number(parameters(experiment)),
        experiment.flat["data.name"],
        _budget(experiment),
        "-" if known is None else _reached(known),
    )


def _reached(known: Result) -> str:
    return f"{known.metric.partition('/')[2]} {known.value} in {duration(known.seconds.mean)}"


def _budget(experiment: Experiment) -> str:
    train, size = experiment.train, experiment.examples_per_step
    return f"{train.steps:,} steps x {size}" if train.epochs is None else f"{train.epochs} epochs x {size}"


if __name__ == "__main__":
    main(list_configs)
