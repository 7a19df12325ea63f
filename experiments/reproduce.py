"""`./launch.sh reproduce RUN [--workdir DIR]`: trains again from a run's own record, and compares bit by bit."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from dlvr_jax.compare import differences, verdict
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start, launch
from dlvr_jax.recorded import complete_of, source_of
from dlvr_jax.run import Run
from experiments.command import arguments, main


def reproduce(argv: Sequence[str]) -> int:
    """One training in a folder of its own; the exit code is 0 where it equals the first.

    The config file is not read, since it may have changed. CPU threads and form are those recorded.
    """
    parser = arguments("reproduce", "Train again from a run's own record, and compare hashes and metrics.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a finished run")
    parser.add_argument("--workdir", type=Path, help="the folder of the repetition (default: RUN-reproduction)")
    known = parser.parse_args(argv)
    first = Run(known.run)
    complete, environment, origin = complete_of(first), first.environment, first.record.get("from")
    if first.summary() is None:
        raise UserError(f"{first.path} has not finished; the train command that began it goes on where it stopped")
    second = Run(known.workdir or _free_folder(first.path))
    if second.summary() is not None:
        raise UserError(f"{second.path} holds a finished run; choose another --workdir, or none")
    where, step = (None, None) if origin is None else (Path(origin["run"]), origin["step"])
    code = launch(Start(source_of(first), complete, second.path, where, step, environment))
    if code:
        return code
    found = differences(first, second)
    print("\n".join(verdict(first, second, found)))
    return 1 if found else 0


def _free_folder(run: Path) -> Path:
    """RUN-reproduction beside the run, or that with a number; one that was stopped is taken up again."""
    run = run.resolve()
    names = (f"{run.name}-reproduction{'' if number == 1 else f'-{number}'}" for number in count(1))
    return next(folder for folder in map(run.with_name, names) if not (folder / "summary.json").exists())


if __name__ == "__main__":
    main(reproduce)
