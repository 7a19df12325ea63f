"""`./launch.sh evaluate RUN [--split NAME] [--step N]`: measures a run's model again, from its folder."""

from collections.abc import Sequence
from pathlib import Path

from dlvr_jax import guarantee, runtime
from dlvr_jax.build import Experiment
from dlvr_jax.compare import unequal
from dlvr_jax.recorded import check_split, experiment_of, restored
from dlvr_jax.reporting import console
from dlvr_jax.run import Run
from dlvr_jax.schema import Between
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.evaluation import evaluate as evaluate_split
from dlvr_jax.training.training import Training, chosen_state, which_state
from experiments.command import arguments, main


def evaluate(argv: Sequence[str]) -> int:
    """One evaluation: the metrics, a line each, and whether they are those of the summary."""
    parser = arguments("evaluate", "Evaluate a run: the state that its summary is about, on one of its splits.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run, finished or not")
    parser.add_argument("--split", default="test", help="train, validation or test (the default)")
    parser.add_whole("--step", Between(0, None), help="of the checkpoint (default: the newest whole one)")
    known = parser.parse_args(argv)
    run = Run(known.run)
    experiment = experiment_of(run)
    check_split(experiment, known.split)
    training = restored(run, experiment, known.step)
    metrics = _metrics(experiment, training, known.split)
    print(f"{run.path}, {which_state(training)}")
    width = max(map(len, metrics))
    for name, value in metrics.items():
        print(f"{name:<{width}}  {value!r}")
    if known.split == "test":
        _compare(run, experiment.devices, int(training.state.step), metrics)
    return 0


def _metrics(experiment: Experiment, training: Training, name: str) -> dict[str, float]:
    """As the end of a training computes them."""
    placement, task = experiment.placement, experiment.task
    split = Split.place(experiment.evaluation_batches(name), placement)
    state = placement.state(chosen_state(training), task.micro)
    found = task.finish(state, *evaluate_split(task, state, split))
    return {f"{name}/{metric}": value for metric, value in found.items()}


def _compare(run: Run, devices: int, step: int, metrics: dict[str, float]) -> None:
    """Says whether these are the summary's figures; if not, the first that differs and why it may."""
    summary = run.summary()
    if summary is None or summary["step"] != step:
        print("the run has not finished" if summary is None else f"the summary is of step {summary['step']}")
        return
    recorded = {name: value for name, value in summary["metrics"].items() if name in metrics}
    found = list(unequal("", recorded, metrics))
    if not found:
        print("equal to the summary")
        return
    print(f"{len(found)} differ from the summary, first {found[0].place}: {found[0].first!r} there")
    now = {**runtime.environment(), "form": {**run.environment["form"], "devices": devices}}
    for change in guarantee.differences(run.environment, now):
        console.warn(f"another environment: {change}")


if __name__ == "__main__":
    main(evaluate)
