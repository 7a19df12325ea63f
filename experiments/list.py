"""`./launch.sh list`: every config in configs/, with its size, its budget and its result."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from dlvr_jax import check, config
from dlvr_jax.benchmarks.cost import parameters
from dlvr_jax.build import Experiment, build
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.readable import duration, number
from dlvr_jax.reporting.results import Result, of_config, read_all
from dlvr_jax.reporting.studies_page import read_studies
from dlvr_jax.reporting.tables import print_table
from experiments.command import arguments, main


def list_configs(argv: Sequence[str]) -> None:
    """A table a family. A config that fails says so in its row, and does not hide the others.

    Raises:
        UserError: some config fails, or a result cannot be read; after everything else is printed.
    """
    arguments("list", "Every config: model, parameters, data, budget, result.").parse_args(argv)
    jax.config.update("jax_platforms", "cpu")  # only shapes are looked at
    reached, faults = _reached()
    for family in sorted(_families(), key=config.place_of):
        rows = []
        files = (config.ROOT / "configs" / family).glob("[!_]*.py")
        for file in sorted(files, key=_by_number):
            try:
                rows.append(_row(config.Source(file), reached))
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


def _by_number(file: Path) -> list[str | int]:
    """e5 before e10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.stem)]


def _families() -> set[str]:
    return {file.parent.name for file in (config.ROOT / "configs").glob("*/[!_]*.py")}


def _reached() -> tuple[dict[str, str], list[str]]:
    """What each config has reached, and why what cannot be read cannot."""
    folder = config.ROOT / "docs" / "results"
    reached: dict[str, str] = {}
    faults: list[str] = []
    try:
        studies = read_studies(folder / "studies")
        reached |= {study.found["config"]: study.best for study in studies if study.best is not None}
    except UserError as error:
        faults += error.faults
    try:
        results = read_all(folder)
        names = {result.config.partition(":")[0] for result in results}
        reached |= {name: _of_results(results, name) for name in names}
    except UserError as error:
        faults += error.faults
    return reached, faults


def _of_results(results: Sequence[Result], name: str) -> str:
    """That of the config as it is; where it was never measured so, the first of its variants and flags, marked."""
    known = of_config(results, name)
    if known is None:
        known = next(result for result in results if result.config.partition(":")[0] == name)
    variant = known.config.partition(":")[2]
    marks = ([f"variant {variant}"] if variant else []) + (["with flags"] if known.flags else [])
    text = f"{known.metric.partition('/')[2]} {known.value} in {duration(known.seconds.mean)}"
    return f"{text} ({', '.join(marks)})" if marks else text


def _row(source: config.Source, reached: Mapping[str, str]) -> tuple[str, ...]:
    experiment = build(check.complete(config.load(source), {}).flat)
    return (
        source.name,
        experiment.flat["model.name"].rpartition(".")[2],
        number(parameters(experiment)),
        experiment.flat["data.name"],
        _budget(experiment),
        reached.get(str(source), "-"),
    )


def _budget(experiment: Experiment) -> str:
    train, size = experiment.train, experiment.examples_per_step
    return f"{train.steps:,} steps x {size}" if train.epochs is None else f"{train.epochs} epochs x {size}"


if __name__ == "__main__":
    main(list_configs)
