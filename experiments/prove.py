"""`./launch.sh prove CONFIG [--kills N]`: kills a training at random moments, resumes it, and compares every bit."""

import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlvr_jax import check, config
from dlvr_jax.compare import Difference, common_steps, differences
from dlvr_jax.errors import UserError
from dlvr_jax.killing import Kill, Pace, aims, train_killed, train_whole
from dlvr_jax.run import Run
from dlvr_jax.schema import Between
from experiments.command import SEEDS, arguments, main

EVERYTHING = "--config.train.keep=1000000"  # checkpoints: so that all can be compared
ATTEMPTS = 3  # runs without a single kill before giving up


def prove(argv: Sequence[str]) -> int:
    """Trains once uninterrupted, then killed; the exit code is 0 where all is bit-identical."""
    parser = arguments("prove", "Kill a training at random moments, resume it, and compare every bit.")
    parser.add_argument("config", metavar="CONFIG", help="as of `train`; --config.KEY=VALUE too")
    parser.add_whole("--kills", Between(1, 1000), default=5, metavar="N", help="kills that must hit a live process (5)")
    parser.add_whole("--seed", SEEDS, help="of the random moments (default: another each time)")
    parser.add_argument("--workdir", type=Path, help="an empty folder for all runs (default: a new one in runs/proofs)")
    known, rest = parser.parse_known_args(argv)
    if not any(argument.startswith("--config.train.keep") for argument in rest):
        rest.append(EVERYTHING)
    source = config.find(known.config)
    check.complete(config.load(source), config.flags(rest))
    folder = _folder(known.workdir, source.name)
    seed = random.SystemRandom().randrange(10_000) if known.seed is None else known.seed
    print(f"runs in {folder}; moments by --seed {seed}", flush=True)
    command = [sys.executable, "-m", "experiments.train", known.config, *rest]
    return _prove(command, folder, known.kills, random.Random(seed))


def _folder(asked: Path | None, name: str) -> Path:
    """An empty folder."""
    if asked is None:
        proofs = Path("runs") / "proofs"
        proofs.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=proofs))
    asked.mkdir(parents=True, exist_ok=True)
    if any(asked.iterdir()):
        raise UserError(f"{asked} is not empty; choose another --workdir")
    return asked


def _prove(command: Sequence[str], folder: Path, kills: int, rng: random.Random) -> int:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(config.ROOT), os.environ.get("PYTHONPATH")]))
    whole = Run(folder / "whole")
    pace = train_whole(_with(command, whole), whole, folder / "whole.log")
    print(f"uninterrupted: {pace.last} steps, started in {pace.start:.1f} s", flush=True)
    killed = _killed_runs(command, folder, kills, pace, rng)
    found = {run.path.name: differences(whole, run) for run in killed}
    if not any(found.values()):
        steps = [step for run in killed for step in common_steps(whole, run)]
        print(f"bit-identical after {kills} kills: parameters, metrics, {len(steps)} checkpoints")
        return 0
    for name, unequal in found.items():
        _print_differences(name, unequal)
    return 1


def _killed_runs(command: Sequence[str], folder: Path, kills: int, pace: Pace, rng: random.Random) -> list[Run]:
    """Runs that together were killed `kills` times, at least once during a save; one, if it lasts long enough."""
    delivered: list[Kill] = []
    runs: list[Run] = []

    def tell(kill: Kill) -> None:
        delivered.append(kill)
        what = "during a save" if kill.during_save else "while starting" if kill.aim.kind == "start" else ""
        print(f"kill {len(delivered)}/{kills} after step {kill.step}  {what}".rstrip(), flush=True)

    barren = 0
    while (left := kills - len(delivered)) > 0:
        before = len(delivered)
        run = Run(folder / f"killed-{len(runs) + 1}")
        train_killed(_with(command, run), run, folder / f"{run.path.name}.log", aims(left, pace, rng), tell)
        runs.append(run)
        barren = 0 if len(delivered) > before else barren + 1
        if barren == ATTEMPTS:
            raise UserError(f"{run.path} ended {ATTEMPTS} times before it could be killed; train for more steps")
    if not any(kill.during_save for kill in delivered):
        print("no kill fell into a save; a larger --kills or another --seed may", flush=True)
    return runs


def _with(command: Sequence[str], run: Run) -> list[str]:
    return [*command, "--workdir", str(run.path)]


def _print_differences(name: str, found: Sequence[Difference]) -> None:
    """The first step and leaf that differ, first."""
    checkpoints_first = sorted(found, key=lambda difference: not difference.place.startswith("checkpoints/"))
    print(f"whole and {name} " + ("differ" if found else "are bit-identical"))
    for difference in checkpoints_first:
        print(f"  {difference}")


if __name__ == "__main__":
    main(prove)
