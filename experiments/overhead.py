"""`./launch.sh overhead [CONFIG] [--steps N]`: what the training loop costs beside the compiled step alone."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlvr_jax import check, config, runtime
from dlvr_jax.benchmarks.overhead import measure
from dlvr_jax.build import build
from dlvr_jax.choose_form import devices_to_make, on_devices
from dlvr_jax.reporting.console import warn
from dlvr_jax.schema import Between
from dlvr_jax.training.loop import Stopped
from experiments.command import arguments, main


def overhead(argv: Sequence[str]) -> int:
    """Prints a line for each part, as it is measured; the exit code is not 0 where a signal ended it."""
    parser = arguments("overhead", "Total wall time of the loop over steps times the bare compiled step.")
    lenet5 = "configs/cnn/lenet5_fashion_mnist.py"
    parser.add_argument("config", metavar="CONFIG", nargs="?", default=lenet5, help=f"(default: {lenet5})")
    parser.add_whole(
        "--steps", Between(1, 1_000_000), default=4000, metavar="N", help="how long each loop is (default: 4000)"
    )
    known, rest = parser.parse_known_args(argv)
    complete = check.complete(config.load(config.find(known.config)), config.flags(rest))
    runtime.start(devices=devices_to_make(complete.flat))
    experiment, _ = on_devices(build(complete.flat))
    for what in ("checkpoint_every", "eval_every"):
        if known.steps < (every := getattr(experiment.train, what)):
            warn(f"--steps {known.steps}: below train.{what} = {every}, so what it costs is not in the figures")
    print(known.config, flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for part in measure(experiment, known.steps, Path(folder)):
                seconds, ratio = part.seconds_per_step, part.ratio
                print(f"{part.name:24} {1000 * seconds:8.3f} ms a step  ratio {ratio:.3f}", flush=True)
    except Stopped as stopped:  # which a training makes of Ctrl-C and SIGTERM
        print("interrupted", file=sys.stderr)
        return 128 + (stopped.signal or 0)
    return 0


if __name__ == "__main__":
    main(overhead)
