"""`./launch.sh predict RUN [--split NAME] [--first N] [--count N]`: examples with what a run's model says of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlvr_jax.errors import UserError
from dlvr_jax.recorded import check_split, experiment_of, restored
from dlvr_jax.reporting.page import write_displays_page
from dlvr_jax.reporting.tables import print_displays
from dlvr_jax.run import Run
from dlvr_jax.schema import Between
from dlvr_jax.training.compiled import predict_program
from dlvr_jax.training.training import chosen_state, which_state
from experiments.command import arguments, main

COUNT = 16  # examples that are shown where no number is given


def predict(argv: Sequence[str]) -> int:
    """Predicts once, prints the passages and writes `predict.html` into the run's folder."""
    parser = arguments("predict", "Show what a run's model says of examples of its data.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run, finished or not")
    parser.add_argument("--split", default="test", help="train, validation or test (the default)")
    parser.add_whole("--first", Between(0, None), default=0, help="the first example's number (default: 0)")
    parser.add_whole("--count", Between(1, 10_000), help=f"how many examples (default: {COUNT}, or what is left)")
    parser.add_whole("--step", Between(0, None), help="of the checkpoint (default: the newest whole one)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: predict.html in the run's folder)")
    known = parser.parse_args(argv)
    run = Run(known.run)
    experiment = experiment_of(run)
    if experiment.task.show is None:
        raise UserError(f"{run.path}: {experiment.flat['task.name']} has no predictions to show; try sample")
    check_split(experiment, known.split)
    size = experiment.data.spec.splits[known.split]
    count = known.count or max(1, min(COUNT, size - known.first))
    if known.first + count > size:
        asked = f"--first {known.first}" + (f" --count {known.count}" if known.count else "")
        raise UserError(f"{asked}: the {known.split} split has {size:,} examples, from 0 on")
    training = restored(run, experiment, known.step)
    state, index = chosen_state(training), np.arange(known.first, known.first + count)
    batch = experiment.data.records(known.split).read(index)
    outputs = predict_program(experiment.task, state, batch)(state, batch)
    shown = experiment.task.show(batch, {name: np.asarray(output) for name, output in outputs.items()})
    print_displays(shown)
    facts = [which_state(training), f"{known.split} {known.first} to {known.first + count - 1}"]
    out = known.out or run.path / "predict.html"
    print(f"page  {write_displays_page(out, run.path.name, 'Predictions', facts, shown)}")
    return 0


if __name__ == "__main__":
    main(predict)
