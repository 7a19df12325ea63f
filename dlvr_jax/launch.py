"""From a complete config to a finished run folder: what `train` and `reproduce` do."""

import dataclasses
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax import beginning, config, guarantee, processes, runtime
from dlvr_jax.build import Experiment, build
from dlvr_jax.check import Complete
from dlvr_jax.choose_form import devices_to_make, form_of, on_devices
from dlvr_jax.errors import OutOfMemory, UserError, lacks_memory, said
from dlvr_jax.finish import finish
from dlvr_jax.recorded import complete_of, origin_of, refuse_other_data
from dlvr_jax.reporting import console
from dlvr_jax.run import Run
from dlvr_jax.sections import devices_of, leaves_devices_open
from dlvr_jax.tasks.task import Task
from dlvr_jax.training.cadence import nearest_multiples
from dlvr_jax.training.checkpoint import named_leaves, steps
from dlvr_jax.training.compile_count import CompileCount
from dlvr_jax.training.compiled import compiling_train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.loop import Stopped, resume, train
from dlvr_jax.training.population import Population
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.strategy import Form
from dlvr_jax.training.training import Memory, Training


@dataclass(frozen=True)
class Start:
    """What a training starts from."""

    source: config.Source
    complete: Complete
    workdir: Path | None = None
    origin: Path | None = None  # the run whose last state is the first one here
    origin_step: int | None = None  # or its state at this step, as a record has it
    environment: Mapping[str, Any] | None = None  # in which it is to run, as a record has it
    until: int | None = None  # the step to pause at

    @property
    def fingerprint(self) -> str:
        """Of what makes this run another than others."""
        return config.fingerprint(self.identity)

    @property
    def identity(self) -> dict[str, Any]:
        """The config but for how it runs, and the run that it starts from as "from"."""
        return config.identity(self.complete.flat, None if self.origin is None else str(self.origin.resolve()))

    @property
    def folder(self) -> Path:
        """`workdir`, or a name made from the config, so that the same command finds the same folder."""
        return self.workdir or Path("runs") / self.source.family / f"{self.source.name}-{self.fingerprint[:8]}"

    def record(self, step: int) -> dict[str, Any]:
        """What `config.json` holds; `step` is that of the first state."""
        return {
            "config_file": str(self.source).partition(":")[0],
            "argument": self.source.argument,
            "fingerprint": self.fingerprint,
            "from": None if self.origin is None else {"run": str(self.origin.resolve()), "step": step},
            "config": config.nest(self.complete.flat),
            "origin": self.complete.origin,
        }


def launch(start: Start, count: int = 1) -> int:
    """Trains to the end and writes summary and report; returns the exit code. One of `count` processes that do.

    Raises:
        UserError: the folder holds another config's run or is in use, or what `build` and `train` raise.
    """
    run = Run(start.folder, processes.is_first())
    _refuse_what_is_no_run_of(run, start)
    if start.until is not None and start.until % start.complete.flat["train.steps_per_call"]:
        raise UserError(f"--until {start.until}: is no multiple of train.steps_per_call")
    for note in start.complete.notes:
        console.warn(note)
    _start_runtime(run.environment if run.exists() else start.environment, start.complete.flat, count)
    compiled = CompileCount()
    experiment = build(start.complete.flat)
    Placement.over(experiment.devices, fsdp=experiment.fsdp)  # before there is a folder: are there that many?
    if start.origin is not None and not run.exists():
        beginning.check(start.origin, start.origin_step, experiment)
    with run.locked():
        _refuse_what_is_no_run_of(run, start)  # again, now that no other process can make it one
        if run.exists():
            refuse_other_data(run, experiment)
        if run.summary() is not None:
            if not run.writes:
                return 0
            print(f"{run.path} is finished; its report: {_report(run)}; for a new run change the config or --workdir")
            return 0
        try:
            return _train(run, start, experiment, compiled)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if lacks_memory(error):
                raise OutOfMemory(f"out of memory: {said(error)}; try a smaller {_smaller(start)}") from error
            raise


def _start_runtime(recorded: Mapping[str, Any] | None, flat: Mapping[str, Any], count: int) -> None:
    """As a record has it; a new run that may choose its form gets a CPU device for each thread.

    Several processes make as many CPU devices as the config asks for, an equal part each.
    """
    threads = None if recorded is None else recorded["cpu"]["threads"]
    if count > 1:
        runtime.start(threads, _part(flat, count))
        return
    if recorded is None:
        runtime.start(threads, devices_to_make(flat))
    else:
        runtime.start(threads, max(recorded["device"]["count"], devices_of(flat)))


def _part(flat: Mapping[str, Any], count: int) -> int:
    """How many devices each of several processes has."""
    if flat["population.size"] > 1:
        size = flat["population.size"]
        raise UserError(f"population.size = {size}: members are trained by one process; unset DLVR_COORDINATOR")
    if flat["mesh.data"] is None:
        raise UserError(f"mesh.data = none: {count} processes need a number, that of all their devices")
    devices = devices_of(flat)
    if devices % count:
        low, high = nearest_multiples(devices, count)
        raise UserError(
            f"mesh.data x mesh.fsdp = {devices}: does not split over {count} processes; use {low} or {high}"
        )
    return devices // count


def _smaller(start: Start) -> str:
    return "population.size" if start.complete.flat["population.size"] > 1 else "train.batch_size"


def _report(run: Run) -> Path:
    """Of a finished run; made where the process was killed between summary and report."""
    from dlvr_jax.reporting.html import write_report

    path, summary = run.path / "report.html", run.path / "summary.json"
    return path if path.exists() and path.stat().st_mtime >= summary.stat().st_mtime else write_report(run)


def _refuse_what_is_no_run_of(run: Run, start: Start) -> None:
    """Only an empty folder, or one that holds a run of this very config, will do."""
    if not run.exists():
        ours = {"environment.json", "config.json"}  # what a run killed at its start may have left, whole or hidden
        if run.path.is_file() or any(e.name not in ours and e.name[0] != "." for e in run.path.glob("*")):
            raise UserError(f"{run.path} is not empty and holds no run; choose another --workdir")
        return
    here, there = start.identity, config.identity(complete_of(run).flat, origin_of(run))
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) == there.get(key):
            continue
        raise UserError(
            f"{run.path} holds a run of another config: {key} is {there.get(key)!r} there, {here.get(key)!r} here; "
            "choose another --workdir, or --from to start from its last state"
        )


def _train(run: Run, start: Start, experiment: Experiment, compiled: CompileCount) -> int:
    is_new = not run.exists()
    experiment, training, environment = _begun(run, start, experiment)
    step = resume(training)
    if not is_new:
        print(f"{run.path}: goes on from step {step:,} of {experiment.train.steps:,}", file=sys.stderr)
        environment = _note_resumption(run, environment)
    try:
        if start.until is not None and step >= start.until:
            raise Stopped(None, step)
        train(training, step)
        finish(run, experiment, training, environment, compiled)
    except Stopped as stopped:
        if stopped.signal is None:
            print(f"paused at step {stopped.step} of {training.last}; without --until it goes on", file=sys.stderr)
            return 0
        name = signal.Signals(stopped.signal).name
        print(f"{name}: saved at step {stopped.step}; the same command goes on from there", file=sys.stderr)
        return 128 + stopped.signal
    return 0


def _begun(run: Run, start: Start, experiment: Experiment) -> tuple[Experiment, Training, dict[str, Any]]:
    """A training at its first step, in the form that it is computed in, its folder begun; and its environment."""
    recorded = run.environment if run.exists() else start.environment
    experiment, task, measured = _formed(recorded, experiment)
    placement = experiment.placement
    splits = {"train": Split.place(experiment.training_batches(), placement)}
    if experiment.data.spec.splits["validation"]:
        splits["validation"] = Split.place(experiment.evaluation_batches("validation"), placement)
    with _compiling_step(experiment, task, splits["train"], run, start.until):
        first = beginning.first_state(experiment)
    state = placement.state(first, task.micro)
    if start.origin is not None and not steps(run.checkpoints):
        step = run.record["from"]["step"] if run.exists() else start.origin_step
        state = placement.state(beginning.state_of(start.origin, step, first, experiment), task.micro)
    environment, record = {**_environment(experiment, task), **measured}, start.record(int(np.max(state.step)))
    there = run.exists()
    if there:  # how it runs from now on
        begun = run.record["from"]["step"] if run.record.get("from") else 0
        record = {**run.record, **start.record(begun)}
    processes.meet()  # nobody writes before all have looked
    if not there:
        run.write("environment.json", environment)
    run.write("config.json", record)
    console.print_differences(record)
    params = experiment.abstract_state.params
    console.print_parameters([(n, p.shape, p.dtype, p.size) for n, p in named_leaves(params).items()])
    memory = Memory.of(experiment.population.size)
    training = Training(
        run, task, splits, experiment.train, experiment.evaluation, state, memory=memory, until=start.until
    )
    return experiment, training, environment


def _compiling_step(
    experiment: Experiment, task: Task, split: Split, run: Run, until: int | None
) -> AbstractContextManager[None]:
    """In its block the training step is compiled as well, if one is left to take."""
    step, last = max(steps(run.checkpoints), default=0), experiment.train.steps or 0
    if step >= min(last, until or last):
        return nullcontext()
    per_call, state = experiment.train.steps_per_call, beginning.first_shapes(experiment)
    return compiling_train_program(
        task,
        per_call,
        split.placement.abstract(state, task.micro),
        split.resident,
        split.first_call(per_call, task.micro),
        split.batches.widths(step),
    )


def _formed(recorded: Mapping[str, Any] | None, experiment: Experiment) -> tuple[Experiment, Task, dict[str, Any]]:
    """The experiment on its devices and what is trained, computed as before or as is fastest; and what was measured."""
    if experiment.is_population:
        task, measured = _population(recorded, experiment)
        return dataclasses.replace(experiment, devices=task.devices), task, measured
    if recorded is not None and leaves_devices_open(experiment.flat):
        return dataclasses.replace(experiment, devices=recorded["form"]["devices"]), experiment.task, {}
    experiment, seconds = on_devices(experiment)
    return experiment, experiment.task, {"measured": seconds} if seconds else {}


def _population(recorded: Mapping[str, Any] | None, experiment: Experiment) -> tuple[Population, dict[str, Any]]:
    """All members as one task, and what was measured."""
    if recorded is None:
        form, seconds = form_of(experiment)
        return experiment.population_of(form), {"measured": seconds} if seconds else {}
    strategy, devices = recorded["form"]["strategy"], recorded["form"]["devices"]
    if experiment.population.strategy != "auto" or experiment.devices > 1:  # the config says how many
        devices = experiment.devices
    return experiment.population_of(Form(strategy, devices)), {}


def _environment(experiment: Experiment, task: Task) -> dict[str, Any]:
    """What `environment.json` holds of a new run."""
    form: dict[str, Any] = {"kind": "solo"}
    if isinstance(task, Population):
        form = {"kind": "population", "members": task.size, "strategy": task.strategy}
    form |= {"devices": experiment.devices, "steps_per_call": experiment.train.steps_per_call}
    more = {"fsdp": experiment.fsdp, "processes": jax.process_count()}
    form |= {name: count for name, count in more.items() if count > 1}
    return {**runtime.environment(), "form": form, "data": experiment.data.fingerprint(), "resumed": []}


def _note_resumption(run: Run, now: dict[str, Any]) -> dict[str, Any]:
    """The environment that the run began in, with what differs now added to it."""
    recorded = run.environment
    changes = guarantee.differences(recorded, now)
    for change in changes:
        console.warn(f"resumed under another environment: {change}")
    resumed = {**recorded, "resumed": [*recorded["resumed"], changes]}
    run.write("environment.json", resumed)
    return resumed
