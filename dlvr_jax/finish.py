"""The end of a training: the test split once, then displays, summary and report."""

from typing import Any

import jax
import numpy as np

from dlvr_jax import guarantee, processes
from dlvr_jax.build import Experiment
from dlvr_jax.displays import Display
from dlvr_jax.members import summaries, table
from dlvr_jax.metrics.mean import mean_of
from dlvr_jax.reporting import console
from dlvr_jax.run import Run
from dlvr_jax.tasks.task import State, as_evaluated
from dlvr_jax.training.checkpoint import tree_digest
from dlvr_jax.training.compile_count import CompileCount
from dlvr_jax.training.evaluation import Split, evaluate
from dlvr_jax.training.loop import SAMPLE_SEED
from dlvr_jax.training.population import each_member
from dlvr_jax.training.training import Training, chosen_state, which_state


def finish(
    run: Run, experiment: Experiment, training: Training, environment: dict[str, Any], count: CompileCount
) -> None:
    """Writes `samples/`, `summary.json` and `report.html`, and prints what came out."""
    from dlvr_jax.reporting.html import write_report
    from dlvr_jax.reporting.tables import print_displays
    from dlvr_jax.reporting.tensorboard import write_tensorboard

    task, step, seconds = training.task, int(np.max(training.state.step)), training.memory.seconds
    placement = training.splits["train"].placement
    state = placement.state(chosen_state(training), task.micro)
    test = Split.place(experiment.evaluation_batches("test"), placement)
    evaluation = evaluate(task, state, test)
    params, parts = processes.whole(training.state.params), list(each_member(task, processes.whole(state), *evaluation))
    if not run.writes:
        return
    found = [task.finish(*own) for own in parts]
    for k, own in enumerate(found):
        who = {"member": k} if experiment.is_population else {}
        run.append_metrics({"step": step, "split": "test", **who, **own, "seconds": seconds})
    run.sync_metrics()
    failed = np.atleast_1d(training.state.failed)
    sound = mean_of([own for own, at in zip(found, failed, strict=True) if not at])
    metrics = {f"test/{name}": value for name, value in sound.items()}
    members = summaries(experiment, training, found) if experiment.is_population else []
    if members:
        run.write_displays(step, {"members": table(members)})
    else:
        run.write_displays(step, _displays(experiment, *parts[0]))
    write_tensorboard(run)
    run.write(
        "summary.json",
        {
            "config": run.record["config_file"],
            "task": experiment.flat["task.name"],
            "model": experiment.flat["model.name"],
            "step": step,
            **({} if members else {"tested_step": training.memory.best_step[0] or step}),
            "examples": step * experiment.examples_per_step,
            "seconds": seconds,
            "metrics": metrics | _best(experiment, training),
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(experiment.abstract_state.params)),
            "params_sha256": tree_digest(params),
            **({"members": members} if members else {}),
            "data": {
                "name": experiment.flat["data.name"],
                "splits": dict(experiment.data.spec.splits),
                "fingerprint": experiment.data.fingerprint(),
            },
            "versions": environment["versions"],
            "device": environment["device"],
            "git": environment["git"],
            "compiled": {"programs": count.programs, "seconds": count.seconds, "cache_hits": count.cache_hits},
            "guarantee": guarantee.guarantee(environment["device"]["platform"], environment["resumed"]),
        },
    )
    report, tested = write_report(run), which_state(training)
    if members:
        print_displays({"members": table(members)})
        failed = sum(own["failed"] > 0 for own in members)
        over = f"{len(members) - failed} of {len(members)}" if failed else len(members)
        tested += f"; above are means over {over} members"
    console.print_result(metrics, tested, report, seconds)


def _displays(experiment: Experiment, state: State, sums: Any, outputs: Any) -> dict[str, Display]:
    task = experiment.task
    state = jax.device_get(state)
    shown = task.displays(state, sums, outputs, lambda index: _examples(experiment, index))
    return shown if task.sample is None else task.sample(as_evaluated(state), SAMPLE_SEED) | shown


def _best(experiment: Experiment, training: Training) -> dict[str, float]:
    """The validation metric by which the tested state was chosen."""
    name = experiment.evaluation.best
    memory = training.memory
    sound = np.array(memory.best_value)[np.atleast_1d(training.state.failed) == 0]
    return {f"validation/{name}": float(sound.mean())} if name and all(memory.best_step) else {}


def _examples(experiment: Experiment, index: np.ndarray) -> dict[str, Any]:
    """Test examples by their number in the split."""
    batches = experiment.evaluation_batches("test")
    if batches.resident:
        return {name: array[index] for name, array in batches.resident.items()}
    return experiment.data.records("test").read(index)
