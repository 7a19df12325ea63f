"""`./launch.sh extract RUN --member N [--workdir DIR]`: takes a member out of a population, as a run of its own."""

from collections.abc import Sequence
from pathlib import Path

from dlvr_jax.errors import UserError
from dlvr_jax.extract import Place, gather, start_of
from dlvr_jax.launch import launch
from dlvr_jax.recorded import experiment_of
from dlvr_jax.run import Run
from dlvr_jax.schema import Between
from dlvr_jax.training.checkpoint import steps
from experiments.command import arguments, main


def extract_member(argv: Sequence[str]) -> int:
    """One member's folder; of a finished population it is tested and reported, else `train` goes on with it."""
    parser = arguments("extract", "Take a member out of a population, as a run that every other verb accepts.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a population, finished or not")
    parser.add_whole("--member", Between(0, None), required=True, metavar="N", help="which one, from 0 on")
    parser.add_argument("--workdir", type=Path, help="the new run's folder (default: RUN-member-N)")
    known = parser.parse_args(argv)
    population = Run(known.run)
    experiment = experiment_of(population, population=True)
    size = experiment.population.size
    if known.member >= size:
        raise UserError(f"--member {known.member}: {population.path} has the members 0 to {size - 1}")
    folder = known.workdir or population.path.resolve().with_name(
        f"{population.path.resolve().name}-member-{known.member}"
    )
    start = start_of(population, experiment, known.member, folder)
    if not Run(folder).exists():
        gather([Place(population, known.member)], start)
    elif max(steps(Run(folder).checkpoints), default=0) != max(steps(population.checkpoints), default=0):
        raise UserError(f"{folder} holds the member as it was at another step; choose another --workdir, or remove it")
    if population.summary() is None:
        print(f"{folder}: member {known.member}, as far as it is trained")
        return 0
    return launch(start)


if __name__ == "__main__":
    main(extract_member)
