"""`./launch.sh start [CONFIG ...] [--repeats N] [--out FILE.json]`: how long it takes until the first step is done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dlvr_jax import check, config, runtime
from dlvr_jax.benchmarks.start import seconds_to_first_step, seconds_to_import
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.schema import Between
from experiments.command import arguments, ended_by_sigterm, main
from experiments.figures import check_figures, write_figures

HEADER = ("config", "first start, s", "another", "of which Python and imports")


def start(argv: Sequence[str]) -> None:
    """Prints each start: the first one of a config, which fills the caches if they are empty, then the following.

    A config that does not start is told at the end; the figures of the others are kept.
    """
    parser = arguments(
        "start",
        "Seconds from process start to the first finished step. The first start compiles what DLVR_CACHE lacks; name "
        "an empty folder to see all of that. The table has medians.",
    )
    digits = "configs/cnn/lenet5_digits.py"
    parser.add_argument("configs", metavar="CONFIG", nargs="*", default=[digits], help=f"(default: {digits})")
    parser.add_whole("--repeats", Between(0, 1000), default=3, metavar="N", help="starts after the first (default: 3)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="keep the figures")
    known, rest = parser.parse_known_args(argv)
    for name in known.configs:
        check.complete(config.load(config.find(name)), config.flags(rest))
    check_figures(known.out)
    rows, faults = [], []
    for name in known.configs:
        try:
            with ended_by_sigterm():
                rows.append(_measured(name, rest, known.repeats))
        except UserError as error:
            faults += [f"{name}: {fault}" for fault in error.faults]
    if rows and known.repeats:
        print_table(HEADER, list(map(_cells, rows)), right=HEADER[1:])
    if rows and known.out is not None:
        runtime.start()
        write_figures(known.out, "start", argv, rows)
        print(f"figures  {known.out}")
    if faults:
        raise UserError(*faults)


def _measured(name: str, flags: Sequence[str], repeats: int) -> dict[str, Any]:
    """Seconds of the first start of a config, of each of the others, and of the imports before each of those."""
    first = seconds_to_first_step(name, flags)
    print(f"{name}\nfirst start    {first:6.2f} s to the first step", flush=True)
    others, all_imports = [], []
    for _ in range(repeats):
        imports, total = seconds_to_import(), seconds_to_first_step(name, flags)
        others.append(total)
        all_imports.append(imports)
        print(
            f"another start  {total:6.2f} s to the first step: {imports:.2f} s Python and imports, "
            f"{total - imports:.2f} s checks, data, programs from the cache, initialisation, the step",
            flush=True,
        )
    return {"config": name, "first_seconds": first, "other_seconds": others, "import_seconds": all_imports}


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table; medians."""
    seconds = (row["first_seconds"], median(row["other_seconds"]), median(row["import_seconds"]))
    return row["config"].removeprefix("configs/"), *(f"{one:.2f}" for one in seconds)


if __name__ == "__main__":
    main(start)
