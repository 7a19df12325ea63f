"""The training loop: every side effect of a training stands here, in the order in which it happens.

Step n means n finished updates, everywhere. It knows contracts only: a Task, Batches, a Run.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dlvr_jax import processes
from dlvr_jax.data.length_buckets import Widths
from dlvr_jax.data.prefetch import payloads
from dlvr_jax.displays import Display
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.mean import mean_of
from dlvr_jax.reporting.console import Progress, warn
from dlvr_jax.reporting.tensorboard import TensorBoard
from dlvr_jax.tasks.task import State, as_evaluated, evaluated
from dlvr_jax.training.cadence import due
from dlvr_jax.training.checkpoint import Checkpoints, clean, named_leaves, remove, restore, steps
from dlvr_jax.training.compiled import non_finite_program, predict_program, train_program
from dlvr_jax.training.evaluation import add_up, evaluate
from dlvr_jax.training.packed_sums import PackedSums, fetched
from dlvr_jax.training.population import Population, each_member
from dlvr_jax.training.signals import Interrupt, interruptible
from dlvr_jax.training.training import Memory, Training, remember_best

PENDING = 256  # steps whose sums may wait on the device
SAMPLE_SEED = 0  # the same noise each time, so that samples can be compared over the training
SHOWN = 16  # examples, of a task that makes no samples


class Stopped(Exception):
    """A signal stopped the run after a checkpoint; None: it was to pause at this step."""

    def __init__(self, signal: int | None, step: int) -> None:
        super().__init__(f"stopped by signal {signal} after step {step}")
        self.signal = signal
        self.step = step


def resume(t: Training) -> int:
    """Takes up the run's newest whole checkpoint, if there is one; returns the step to go on from.

    Raises:
        UserError: no checkpoint is whole, or they are of another structure.
    """
    if t.run.writes:
        clean(t.run.checkpoints)
    if t.evaluation.best is not None:
        t.best = jax.tree.map(np.array, processes.whole(evaluated(t.state)))
    found = restore(t.run.checkpoints, {"state": t.state, "best": t.best}, warn)
    if found is not None:
        tree, memory = found
        window = {name: (np.asarray(top), np.asarray(bottom)) for name, (top, bottom) in memory["window"].items()}
        t.memory = Memory(**{**memory, "window": window})
        t.state, t.best = t.splits["train"].placement.state(tree["state"], t.task.micro), tree["best"]
    step = int(np.max(t.state.step))
    processes.meet(step)
    for damaged in [number for number in steps(t.run.checkpoints) if number > step and t.run.writes]:
        remove(t.run.checkpoints / str(damaged))
    t.run.cut_metrics(step)
    return step


def train(training: Training, step: int) -> None:
    """Trains from the state at hand, which has `step` updates behind it, to the end.

    Raises:
        UserError: a non-finite number, a checkpoint that cannot be written.
        Stopped: a signal asked for it, or it is to pause.
    """
    checkpoints = Checkpoints(training.run.checkpoints, training.train.keep)
    elsewhere = step > 0 and not steps(training.run.checkpoints)  # it began in another run
    processes.meet(step)  # nobody writes before all have looked
    with (
        interruptible() as interrupt,
        Progress(training.last, step) as progress,
        TensorBoard(training.run.path / "tensorboard") as board,
    ):
        try:
            if elsewhere:  # which need not stay as it is
                _save(training, checkpoints, step)
                checkpoints.wait()
            _loop(training, checkpoints, step, interrupt, progress, board)
        finally:
            checkpoints.close()


def _loop(
    t: Training, checkpoints: Checkpoints, step: int, interrupt: Interrupt, progress: Progress, board: TensorBoard
) -> None:
    per_call, split = t.train.steps_per_call, t.splits["train"]
    leading = (per_call > 1) + (t.task.micro > 1)
    pending: list[PackedSums] = []
    shown: dict[str, float] = {}
    clock = _Clock(t, step)

    def log(split: str, metrics: Sequence[Mapping[str, float]]) -> None:
        times = clock.read(step, split)
        for k, own in enumerate(metrics):
            line = {"step": step, "split": split, **({"member": k} if len(metrics) > 1 else {}), **own, **times}
            if t.run.writes:
                t.run.append_metrics(line)
                board.write(line)

    batches = payloads(split.batches, step, t.last, per_call=per_call)
    programs: dict[Widths, Any] = {}
    while step < t.last and not _stops_early(t, step):
        payload = split.placement.rows(next(batches), leading)
        widths = split.batches.widths(step)
        if widths not in programs:
            programs[widths] = train_program(t.task, per_call, t.state, split.resident, payload, widths)
        t.state, sums = programs[widths](t.state, split.resident, payload)  # dispatched; nothing waits unless it is due
        pending.append(sums)
        step += per_call

        if due(step, t.train.log_every, t.last) or len(pending) * per_call >= PENDING:
            _drain(t, pending, per_call)
        if due(step, t.train.log_every, t.last):
            _stop_if_failed(t)
            windows = [
                {name: float(top / bottom) for name, (top, bottom) in sums.items()}
                for _, sums, _ in each_member(t.task, None, t.memory.window, {})
            ]
            log("train", windows)
            shown = mean_of(windows)
            t.memory.window = {}
        progress.update(step, shown, clock.speed)

        if due(step, t.train.eval_every, t.last) and "validation" in t.splits:
            _stop_if_failed(t)
            evaluation = evaluate(t.task, t.state, t.splits["validation"])
            metrics = [t.task.finish(*own) for own in each_member(t.task, processes.whole(t.state), *evaluation)]
            remember_best(t, step, metrics)
            log("validation", metrics)
            progress.note(_evaluation_line(t, step, metrics))

        every = t.evaluation.sample_every
        if every and step < t.last and due(step, every, t.last):
            _stop_if_failed(t)
            _show(t, step)

        signal = processes.heard(interrupt.signal, due(step, t.train.log_every, t.last))
        stopping = (signal is not None or step == t.until) and step < t.last
        if due(step, t.train.checkpoint_every, t.last) or stopping or _stops_early(t, step):
            _drain(t, pending, per_call)
            _stop_if_failed(t)
            t.memory.seconds = clock.read(step)["seconds"]
            _save(t, checkpoints, step)
            board.flush()
        if stopping:
            checkpoints.wait()
            raise Stopped(signal, step)
    batches.close()
    checkpoints.wait()


def _save(t: Training, checkpoints: Checkpoints, step: int) -> None:
    window = {name: [top.tolist(), bottom.tolist()] for name, (top, bottom) in t.memory.window.items()}
    tree = processes.whole({"state": t.state, "best": t.best})
    if t.run.writes:
        t.run.sync_metrics()
        checkpoints.save(step, tree, dataclasses.asdict(t.memory) | {"window": window})


def _drain(t: Training, pending: list[PackedSums], per_call: int) -> None:
    """Adds the sums of the steps that wait, one step after the other, to the window: the one device-to-host copy."""
    if pending:
        t.memory.window = add_up(t.memory.window, fetched(pending, per_call))
        pending.clear()


def _stop_if_failed(t: Training) -> None:
    """Names the update and the leaf at fault, by computing that batch's gradient again."""
    failures = np.atleast_1d(np.asarray(t.state.failed))
    if not failures.all():
        _tell_failures(t, failures)
        return
    failed = int(failures.min())
    split = t.splits["train"]
    payload = split.placement.rows(split.batches.payload(failed - 1), int(t.task.micro > 1))
    program = non_finite_program(t.task, t.state, split.resident, payload, split.batches.widths(failed - 1))
    flags = jax.device_get(program(t.state, split.resident, payload))
    leaves = [name for name, flag in named_leaves(flags).items() if np.any(flag)]
    saved = steps(t.run.checkpoints)
    good = f"the checkpoint of step {saved[-1]} is good" if saved else "there is no checkpoint yet"
    raise UserError(
        f"step {failed} is not finite ({leaves[0] if leaves else 'the update'}); {good}; try a lower "
        "optimizer.learning_rate or an optimizer.clip_norm"
    )


def _tell_failures(t: Training, failures: np.ndarray) -> None:
    """Of a population, whose other members go on."""
    for k in set(np.flatnonzero(failures).tolist()) - t.told:
        t.told.add(k)
        warn(f"member {k}: step {failures[k]} is not finite; it stays as it was before, the others go on")


def _stops_early(t: Training, step: int) -> bool:
    """Whether the last better value is long past, of every member."""
    patience, best = t.train.early_stopping, t.memory.best_step
    return patience is not None and all(best) and step - max(best) >= patience * t.train.eval_every


def _show(t: Training, step: int) -> None:
    """Saves samples, or what is said of some examples, and makes the report of what there is so far.

    Nothing of a population, whose members are shown when they are taken out.
    """
    from dlvr_jax.reporting.html import write_report

    shows = t.task.sample is not None or (t.task.show is not None and "validation" in t.splits)
    if isinstance(t.task, Population) or not shows:
        return
    state = processes.whole(as_evaluated(t.state))
    if t.run.writes:
        shown = _predictions(t, state) if t.task.sample is None else t.task.sample(state, SAMPLE_SEED)
        t.run.write_displays(step, shown)
        write_report(t.run)


def _predictions(t: Training, state: State) -> dict[str, Display]:
    """What is said of the first examples of the validation split."""
    batch = t.splits["validation"].batches[0]
    some = {name: rows[: min(SHOWN, batch["mask"].sum())] for name, rows in batch.items()}
    outputs = jax.device_get(predict_program(t.task, state, some)(state, some))
    assert t.task.show is not None
    return t.task.show(some, outputs)


def _evaluation_line(t: Training, step: int, metrics: Sequence[Mapping[str, float]]) -> str:
    """The first metrics that the task names, and the one that the best state is chosen by; means over the members."""
    chosen = [name for name in t.task.directions if name == t.evaluation.best]
    names = [*[name for name in t.task.directions if name not in chosen][: 2 - len(chosen)], *chosen]
    mean = mean_of(metrics)
    named = "  ".join(f"{name} {mean[name]:.4f}" for name in names)
    best = t.memory.best_step.count(step)
    told = f"  (best so far of {best} members)" if len(metrics) > 1 else "  (best so far)"
    return f"step {step}: validation {named}" + (told if best else "")


class _Clock:
    """Seconds since the run's first start, and examples a second since the last reading."""

    def __init__(self, t: Training, step: int) -> None:
        self._before, self._started = t.memory.seconds, time.perf_counter()
        self._batch = t.train.batch_size * t.task.batches_per_step
        self._at = (step, self._started)
        self.speed: float | None = None

    def read(self, step: int, split: str = "") -> dict[str, float]:
        """The times that belong into a line: seconds, and the speed of training into its own."""
        now = time.perf_counter()
        if step > self._at[0]:
            self.speed = (step - self._at[0]) * self._batch / (now - self._at[1])
        self._at = (step, now)
        seconds = {"seconds": self._before + now - self._started}
        return seconds | ({"examples_per_second": self.speed} if split == "train" and self.speed else {})
