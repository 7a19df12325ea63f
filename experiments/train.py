"""`./launch.sh train CONFIG [--workdir DIR] [--config.KEY=VALUE ...] [--from RUN] [--until STEP]`."""

from collections.abc import Sequence
from pathlib import Path

from dlvr_jax import check, config, processes
from dlvr_jax.launch import Start, launch
from dlvr_jax.schema import Between
from experiments.command import arguments, main


def train(argv: Sequence[str]) -> int:
    """One training, from the command line's arguments to a finished run folder."""
    parser = arguments("train", "Train a config; in a folder that holds its run, go on where that stopped.")
    parser.add_argument("config", metavar="CONFIG", help="configs/FAMILY/NAME.py, or with an argument NAME.py:tiny")
    parser.add_argument("--workdir", type=Path, help="the run folder (default: runs/FAMILY/NAME-FINGERPRINT)")
    parser.add_argument("--from", dest="origin", type=Path, metavar="RUN", help="start from that run's last state")
    parser.add_whole("--until", Between(1, None), metavar="STEP", help="pause at that step, with the state saved")
    known, rest = parser.parse_known_args(argv)
    source = config.find(known.config)
    complete = check.complete(config.load(source), config.flags(rest))
    with processes.together() as count:
        return launch(Start(source, complete, known.workdir, known.origin, until=known.until), count)


if __name__ == "__main__":
    main(train)
