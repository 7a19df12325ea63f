"""From a run folder back to the objects that it was made with: by its own record, not its config file."""

import dataclasses

import jax

from dlvr_jax import check, config, runtime
from dlvr_jax.beginning import first_shapes
from dlvr_jax.build import Experiment, build
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.console import warn
from dlvr_jax.run import Run
from dlvr_jax.sections import devices_of, leaves_devices_open
from dlvr_jax.tasks.task import Task, evaluated
from dlvr_jax.training.checkpoint import restore, steps
from dlvr_jax.training.strategy import Form
from dlvr_jax.training.training import Memory, Training


def source_of(run: Run) -> config.Source:
    """The config file that the run names; it need not exist any more."""
    record = run.record
    return config.Source(config.ROOT / record["config_file"], record["argument"])


def origin_of(run: Run) -> str | None:
    """The run that it started from."""
    origin = run.record.get("from")
    return None if origin is None else str(origin["run"])


def complete_of(run: Run) -> check.Complete:
    """The run's complete config, with who set each key.

    Raises:
        UserError: it was changed, or it does not fit the signatures of today's code, a line for each key.
    """
    record = run.record
    values = config.flatten(record["config"])
    if config.fingerprint(config.identity(values, origin_of(run))) != record["fingerprint"]:
        raise UserError(f"{run.path / 'config.json'}: was changed since the run began; restore it, or train anew")
    try:
        complete = check.complete(values, {})
    except UserError as error:
        raise UserError(*(f"{run.path / 'config.json'}: {fault}" for fault in error.faults)) from None
    origin = {key: record["origin"].get(key, "default") for key in complete.flat}
    return check.Complete(complete.flat, origin)


def experiment_of(run: Run, population: bool = False) -> Experiment:
    """What the run's record names, on as many CPU threads as it had.

    Raises:
        UserError: as `complete_of` and `build` do; or it is a population and should be none, or the other way round.
    """
    complete = complete_of(run)
    if (complete.flat["population.size"] > 1) != population:
        what = "is no population" if population else f"is a population; ./launch.sh extract {run.path} --member N first"
        raise UserError(f"{run.path} {what}")
    chosen = leaves_devices_open(complete.flat)
    devices = run.environment["form"]["devices"] if chosen else devices_of(complete.flat)
    runtime.start(run.environment["cpu"]["threads"], devices)
    experiment = build(complete.flat)
    if chosen:  # here there may be fewer
        experiment = dataclasses.replace(experiment, devices=devices if devices <= jax.device_count() else 1)
    refuse_other_data(run, experiment)
    return experiment


def refuse_other_data(run: Run, experiment: Experiment) -> None:
    """Raises UserError where the files that the run was trained on have been changed since."""
    if run.environment["data"] != experiment.data.fingerprint():
        raise UserError(f"{run.path} was trained on other data than these; give it its data back, or train anew")


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
    task: Task = experiment.task
    if experiment.is_population:
        task = experiment.population_of(Form(run.environment["form"]["strategy"]))
    like = first_shapes(experiment)
    best = None if experiment.evaluation.best is None else evaluated(like)
    whole = restore(run.checkpoints, {"state": like, "best": best}, warn if step is None else _refuse, step)
    assert whole is not None
    tree, memory = whole
    state = experiment.placement.state(tree["state"], task.micro)
    remembered = Memory(**{**memory, "window": {}})
    return Training(run, task, {}, experiment.train, experiment.evaluation, state, tree["best"], remembered)


def check_split(experiment: Experiment, split: str) -> None:
    """Raises UserError where the data set has no examples of that split."""
    sizes = experiment.data.spec.splits
    if not sizes.get(split):
        there = ", ".join(name for name, size in sizes.items() if size)
        raise UserError(f"--split {split}: {experiment.flat['data.name']} has no such split; there are {there}")


def _refuse(fault: str) -> None:
    raise UserError(f"{fault}; choose another --step")
