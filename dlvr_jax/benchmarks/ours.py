"""Our side of a measurement, a process of its own: `python -m dlvr_jax.benchmarks.ours FOLDER CONFIG [FLAG ...]`.

It trains the config on made-up examples of the shapes of its data, so that no file is needed; what a peer needs is left
in the folder. Nothing is taken from the compilation cache, so that the time to compile is true.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax import check, config, runtime
from dlvr_jax.beginning import first_state
from dlvr_jax.benchmarks import cost
from dlvr_jax.benchmarks.overhead import refuse_population
from dlvr_jax.benchmarks.peak import measured_peak
from dlvr_jax.benchmarks.problem_folder import write_problem
from dlvr_jax.benchmarks.process import own_stdout, run, seconds_since_start, serve
from dlvr_jax.benchmarks.profile import most_expensive, trace
from dlvr_jax.build import Experiment, build
from dlvr_jax.data.builders.made_up import made_up_like
from dlvr_jax.run import Run
from dlvr_jax.sections import devices_of
from dlvr_jax.training.checkpoint import Checkpoints
from dlvr_jax.training.compiled import predict_program, train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.loop import train
from dlvr_jax.training.training import Training

BATCHES = 4  # of training examples that are made up


class Ours:
    """The compiled steps of one config, and a state that they go on from."""

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.experiment, self.folder = experiment, folder
        self.placement = experiment.placement
        self.split = Split.place(experiment.training_batches(), self.placement)
        self.per_call = experiment.train.steps_per_call
        self.payload = self.split.first_call(self.per_call, experiment.task.micro)
        self.state = self.first_state()
        started = time.perf_counter()
        self.program: Any = train_program(experiment.task, self.per_call, self.state, self.split.resident, self.payload)
        self.compile_seconds = time.perf_counter() - started
        self.first_loss = self._first_loss()
        self.seconds_to_first_step = seconds_since_start()

    def first_state(self) -> Any:
        """Before the first update, on the devices."""
        return self.placement.state(first_state(self.experiment), self.experiment.task.micro)

    def told(self) -> dict[str, Any]:
        """What the row of the table says beside times; sizes in bytes, on each device, as the program states them."""
        e, memory = self.experiment, cost.memory_of(self.program)
        return {
            "parameters": cost.parameters(e),
            "precision": e.train.precision,
            "examples_per_step": e.examples_per_step,
            "tokens_per_example": cost.tokens(e.data.spec),
            "flops_per_step": cost.flops_per_step(e),
            "peak_bytes": memory and memory.total,
            "devices": e.devices,
            "compile_seconds": self.compile_seconds,
            "seconds_to_first_step": self.seconds_to_first_step,
            "first_loss": self.first_loss,
            "environment": {key: runtime.environment()[key] for key in ("device", "cpu", "versions", "flags", "git")},
        }

    def train(self, steps: int) -> float:
        """Seconds a step, of so many one after the other; the last one is waited for."""
        calls = max(1, steps // self.per_call)
        started = time.perf_counter()
        for _ in range(calls):
            self.state, sums = self.program(self.state, self.split.resident, self.payload)
        jax.block_until_ready((self.state, sums))
        return (time.perf_counter() - started) / (calls * self.per_call)

    def infer(self, times: int) -> float:
        """Seconds that `predict` takes for a training batch."""
        self._predicted(1)
        started = time.perf_counter()
        self._predicted(times)
        return (time.perf_counter() - started) / times

    def loop(self, steps: int) -> float:
        """Seconds that a step more costs in the whole loop with logging: what begins and ends a run does not count.

        Of about so many steps: whole calls, and whole windows of the log where there is time for one, so that each has
        its line.
        """
        unit = self._log_every if self._log_every <= steps else self.per_call
        steps = -(-steps // unit) * unit
        return (self._looped(3 * steps) - self._looped(steps)) / (2 * steps)

    @property
    def _log_every(self) -> int:
        """Of the config; whole calls also where the flags ask for more steps in one."""
        return max(1, self.experiment.train.log_every // self.per_call) * self.per_call

    def _looped(self, steps: int) -> float:
        """Seconds of a run of so many steps."""
        e = self.experiment
        cadences: dict[str, Any] = {"log_every": self._log_every, "eval_every": steps, "checkpoint_every": steps}
        settings = dataclasses.replace(e.train, steps=steps, early_stopping=None, **cadences)
        evaluation = dataclasses.replace(e.evaluation, sample_every=None, best=None)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            path.mkdir()
            training = Training(Run(path), e.task, {"train": self.split}, settings, evaluation, self.first_state())
            started = time.perf_counter()
            train(training, 0)
            return time.perf_counter() - started

    def input(self, batches: int) -> float:
        """Seconds to put together the batch of a step on the host and to send it."""
        all_batches, micro = self.split.batches, self.experiment.task.micro
        started = time.perf_counter()
        for step in range(batches):
            sent = self.placement.rows(all_batches.payload(step), int(micro > 1))
            jax.block_until_ready(jax.device_put(sent))
        return (time.perf_counter() - started) / batches

    def checkpoint(self, times: int) -> float:
        """Seconds that a save holds the loop up, the median."""
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder), keep=1)
            checkpoints.save(0, self.state, {})  # the first one imports what it needs
            seconds = []
            for number in range(1, 1 + times):
                checkpoints.wait()
                started = time.perf_counter()
                checkpoints.save(number, self.state, {})
                seconds.append(time.perf_counter() - started)
            checkpoints.close()
        return float(np.median(seconds))

    def profile(self, steps: int) -> list[dict[str, Any]]:
        """The most expensive operations of so many steps; their trace is left in the folder `profile`."""
        file = trace(lambda: self.train(steps), self.folder / "profile")
        return [dataclasses.asdict(one) for one in most_expensive(file, self.program.as_text(), steps)]

    def peak(self, size: int) -> float:
        """Floating-point operations a second of matrix products of that size, in the config's precision."""
        return measured_peak(self.experiment.train.precision, size)

    def _first_loss(self) -> float | None:
        """Of the first step, taken on a copy; None of a task with several losses."""
        state, sums = self.program(self.first_state(), self.split.resident, self.payload)
        jax.block_until_ready(state)
        if "loss" not in sums:
            return None
        top, bottom = jax.device_get(sums["loss"])
        return float((top / bottom).reshape(-1)[0])

    @cached_property
    def first_batch(self) -> dict[str, Any]:
        """The batch of the first step."""
        return self.experiment.training_batches()[0]

    def _predicted(self, times: int) -> None:
        state, batch = self.state, self._batch_to_predict
        program = predict_program(self.experiment.task, state, batch)
        for _ in range(times):
            said = program(state, batch)
        jax.block_until_ready(said)

    @cached_property
    def _batch_to_predict(self) -> Any:
        batch = self.first_batch
        if self.experiment.task.micro > 1:
            batch = {name: leaf[0] for name, leaf in batch.items()}
        return jax.device_put(self.placement.rows(batch))


def measurable(complete: Any) -> Experiment:
    """The experiment of a complete config, on made-up examples.

    Raises:
        UserError: it is a population, or its data cannot be made up.
    """
    experiment = build(complete.flat)
    refuse_population(experiment)
    return on_made_up_data(experiment)


def on_made_up_data(experiment: Experiment) -> Experiment:
    """With examples of the shapes of its data, some batches of them.

    Raises:
        UserError: its data cannot be made up.
    """
    count = BATCHES * experiment.examples_per_step
    spec = dataclasses.replace(experiment.data.spec, splits={"train": count, "validation": 8, "test": 8})
    return dataclasses.replace(experiment, data=made_up_like(spec))


def main(folder: str, name: str, *flags: str) -> None:
    """Answers a line "train 10" by what that method of `Ours` gives, and so on, until stdin ends."""
    out = own_stdout()
    complete = check.complete(config.load(config.find(name)), config.flags(flags))
    runtime.start(devices=devices_of(complete.flat))
    jax.config.update("jax_enable_compilation_cache", False)
    ours = Ours(measurable(complete), Path(folder))
    write_problem(ours.folder, ours.experiment, ours.first_state(), ours.first_batch)
    commands: dict[str, Callable[..., Any]] = {
        command: getattr(ours, command)
        for command in ("train", "infer", "loop", "input", "checkpoint", "peak", "profile")
    }
    serve(ours.told(), commands, out)


if __name__ == "__main__":
    run(main)
