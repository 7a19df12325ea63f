"""`./launch.sh evaluate RUN [--split NAME] [--step N]`: measures a run's model again, from its folder."""

from collections.abc import Sequence
from pathlib import Path

from dlvr_jax import guarantee, runtime
from dlvr_jax.build import Experiment
from dlvr_jax.compare import unequal
from dlvr_jax.errors import UserError
from dlvr_jax.recorded import experiment_of, restored
from dlvr_jax.reporting import console
from dlvr_jax.run import Run
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.evaluation import evaluate as evaluate_split
from dlvr_jax.training.loop import Training, chosen_state
from dlvr_jax.training.sharding import Placement
from experiments.command import arguments, main


def evaluate(argv: Sequence[str]) -> int:
    """One evaluation: the metrics, a line each, and whether they are those of the summary."""
    parser = arguments("evaluate", "Evaluate a run: the state that its summary is about, on one of its splits.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run, finished or not")
    parser.add_argument("--split", default="test", help="train, validation or test (the default)")
    parser.add_argument("--step", type=int, help="of the checkpoint to take (default: the newest whole one)")
    known = parser.parse_args(argv)
    run = Run(known.run)
    experiment = experiment_of(run)
    _check_split(experiment, known.split)
    training = restored(run, experiment, known.step)
    metrics = _metrics(experiment, training, known.split)
    step = int(training.state.step)
    print(f"{run.path}, step {step}{_of_best(training)}")
    for name, value in metrics.items():
        print(f"{name}  {value!r}")
    if known.split == "test":
        _compare(run, step, metrics)
    return 0


def _check_split(experiment: Experiment, split: str) -> None:
    sizes = experiment.data.spec.splits
    if not sizes.get(split):
        there = ", ".join(name for name, size in sizes.items() if size)
        raise UserError(f"--split {split}: {experiment.flat['data.name']} has no such split; there are {there}")


def _metrics(experiment: Experiment, training: Training, name: str) -> dict[str, float]:
    """As the end of a training computes them."""
    split = Split.place(experiment.evaluation_batches(name), Placement.over(experiment.devices))
    state = chosen_state(training)
    found = experiment.task.finish(state, *evaluate_split(experiment.task, state, split))
    return {f"{name}/{metric}": value for metric, value in found.items()}


def _of_best(training: Training) -> str:
    """Which state was measured, where that is not the last one."""
    name, step = training.evaluation.best, training.memory.best_step
    return "" if name is None or not step else f", the parameters of step {step}: the best {name} on validation"


def _compare(run: Run, step: int, metrics: dict[str, float]) -> None:
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
    now = {**runtime.environment(), "form": run.environment["form"]}
    for change in guarantee.differences(run.environment, now):
        console.warn(f"another environment: {change}")


if __name__ == "__main__":
    main(evaluate)
