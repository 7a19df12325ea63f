"""From a run folder back to the objects that it was made with: by its own record, not its config file."""

from dlvr_jax import check, config, runtime
from dlvr_jax.build import Experiment, build
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.console import warn
from dlvr_jax.run import Run
from dlvr_jax.tasks.task import evaluated
from dlvr_jax.training.checkpoint import restore, steps
from dlvr_jax.training.loop import Memory, Training
from dlvr_jax.training.sharding import Placement


def source_of(run: Run) -> config.Source:
    """The config file that the run names; it need not exist any more."""
    record = run.record
    return config.Source(config.ROOT / record["config_file"], record["argument"])


def complete_of(run: Run) -> check.Complete:
    """The run's complete config, with who set each key.

    Raises:
        UserError: it does not fit the signatures of today's code, a line for each key.
    """
    record = run.record
    try:
        complete = check.complete(config.flatten(record["config"]), {})
    except UserError as error:
        raise UserError(*(f"{run.path / 'config.json'}: {fault}" for fault in error.faults)) from None
    origin = {key: record["origin"].get(key, "default") for key in complete.flat}
    return check.Complete(complete.flat, origin)


def experiment_of(run: Run) -> Experiment:
    """What the run's record names, on as many CPU threads as it had.

    Raises:
        UserError: as `complete_of` and `build` do.
    """
    complete = complete_of(run)
    runtime.start(run.environment["cpu"]["threads"], complete.flat["mesh.data"])
    return build(complete.flat)


def restored(run: Run, experiment: Experiment, step: int | None = None) -> Training:
    """The training as its newest whole checkpoint left it, or as that of `step` did; without data.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it does not fit the experiment.
    """
    found = steps(run.checkpoints)
    if not found:
        raise UserError(f"{run.path} has no checkpoint; the same train command goes on where it stopped")
    if step is not None and step not in found:
        raise UserError(f"{run.path} has no checkpoint of step {step}; there are {', '.join(map(str, found))}")
    like = experiment.abstract_state
    best = None if experiment.evaluation.best is None else evaluated(like)
    whole = restore(run.checkpoints, {"state": like, "best": best}, warn if step is None else _refuse, step)
    assert whole is not None
    tree, memory = whole
    state = Placement.over(experiment.devices).state(tree["state"], experiment.task.micro)
    remembered = Memory(**{**memory, "window": {}})
    return Training(run, experiment.task, {}, experiment.train, experiment.evaluation, state, tree["best"], remembered)


def check_split(experiment: Experiment, split: str) -> None:
    """Raises UserError where the data set has no examples of that split."""
    sizes = experiment.data.spec.splits
    if not sizes.get(split):
        there = ", ".join(name for name, size in sizes.items() if size)
        raise UserError(f"--split {split}: {experiment.flat['data.name']} has no such split; there are {there}")


def _refuse(fault: str) -> None:
    raise UserError(f"{fault}; choose another --step")
