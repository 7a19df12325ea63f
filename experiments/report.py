"""`./launch.sh report RUN`: makes `report.html` and `tensorboard/` again, from the run folder alone."""

from collections.abc import Sequence
from pathlib import Path

from dlvr_jax.reporting.html import write_report
from dlvr_jax.reporting.tensorboard import write_tensorboard
from dlvr_jax.run import Run
from experiments.command import arguments, main


def report(argv: Sequence[str]) -> int:
    """One report; the run may be unfinished."""
    parser = arguments("report", "Make a run's report.html and tensorboard/ again, from its folder alone.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run, finished or not")
    run = Run(parser.parse_args(argv).run)
    print(f"report       {write_report(run)}")
    print(f"tensorboard  {write_tensorboard(run)}")
    return 0


if __name__ == "__main__":
    main(report)
