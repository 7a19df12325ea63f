"""A member of a population as a run of its own: its config, its lines, its last checkpoint."""

import json
from dataclasses import asdict
from pathlib import Path

from dlvr_jax.atomic_write import write_text
from dlvr_jax.build import Experiment
from dlvr_jax.check import Complete, complete
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start
from dlvr_jax.recorded import restored, source_of
from dlvr_jax.run import Run
from dlvr_jax.sections import VARY
from dlvr_jax.training.checkpoint import Checkpoints
from dlvr_jax.training.population import member
from dlvr_jax.training.training import Memory


def start_of(population: Run, experiment: Experiment, k: int, folder: Path) -> Start:
    """What the member's training would have started from alone."""
    flat = {key: value for key, value in experiment.flat.items() if not key.startswith((VARY, "population."))}
    flat |= {"seed": experiment.seeds[k], **experiment.varied(k)}
    whole = complete(flat, {})
    origin = {key: population.record["origin"].get(key, "default") for key in whole.flat}
    return Start(source_of(population), Complete(whole.flat, origin), folder)


def extract(population: Run, experiment: Experiment, k: int, start: Start) -> None:
    """Writes the member's folder; `config.json`, which makes it a run, comes last. Its log window starts anew.

    Raises:
        UserError: the population has no checkpoint, or the folder holds something else.
    """
    run, training = Run(start.folder), restored(population, experiment)
    if run.path.exists() and any(run.path.iterdir()):
        raise UserError(f"{run.path} is not empty and holds no run; choose another --workdir")
    step, memory = int(training.state.step[k]), training.memory
    remembered = Memory(memory.seconds, {}, [memory.best_step[k]], [memory.best_value[k]])
    run.path.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(run.checkpoints, keep=1)
    checkpoints.save(step, {"state": member(training.state, k), "best": member(training.best, k)}, asdict(remembered))
    checkpoints.close()
    lines = [{key: value for key, value in line.items() if key != "member"} for line in _lines(population, k, step)]
    write_text(run.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    run.write("environment.json", {key: value for key, value in population.environment.items() if key != "format"})
    run.write("config.json", start.record(0) | {"extracted": {"run": str(population.path.resolve()), "member": k}})


def _lines(population: Run, k: int, step: int) -> list[dict]:
    return [line for line in population.metrics() if line["member"] == k and line["step"] <= step]
