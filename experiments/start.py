"""`./launch.sh start [CONFIG] [--repeats N]`: how long a training takes until its first step is done."""

from collections.abc import Sequence

from dlvr_jax import check, config
from dlvr_jax.benchmarks.start import seconds_to_first_step, seconds_to_import
from dlvr_jax.schema import Between
from experiments.command import arguments, main


def start(argv: Sequence[str]) -> None:
    """Prints the first start, which fills the caches if they are empty, then the following ones and their parts."""
    parser = arguments("start", "Seconds from process start to the first finished step.")
    parser.add_argument("config", metavar="CONFIG", nargs="?", default="configs/cnn/lenet5_digits.py")
    parser.add_whole("--repeats", Between(0, 1000), default=3, help="starts after the first (default: 3)")
    known, rest = parser.parse_known_args(argv)
    check.complete(config.load(config.find(known.config)), config.flags(rest))
    print(f"first start    {seconds_to_first_step(known.config, rest):6.2f} s to the first step")
    for _ in range(known.repeats):
        imports, total = seconds_to_import(), seconds_to_first_step(known.config, rest)
        print(
            f"another start  {total:6.2f} s to the first step: {imports:.2f} s Python and imports, "
            f"{total - imports:.2f} s checks, data, programs from the cache, initialisation, the step"
        )


if __name__ == "__main__":
    main(start)
