"""Members taken out of populations, as a run of their own: their configs, lines, and last checkpoints.

One becomes a run alone; several become a population, which may come from several others of the same program.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax import runtime
from dlvr_jax.atomic_write import write_text
from dlvr_jax.build import Experiment
from dlvr_jax.check import Complete, complete
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start
from dlvr_jax.recorded import experiment_of, origin_of, restored, source_of
from dlvr_jax.run import Run, json_line
from dlvr_jax.sections import alone_of, devices_of
from dlvr_jax.training.checkpoint import Checkpoints
from dlvr_jax.training.population import member
from dlvr_jax.training.training import Memory, Training


@dataclass(frozen=True)
class Place:
    """Where a member is: in a population by its number, or alone in a run (None)."""

    run: Run
    number: int | None


def start_of(population: Run, experiment: Experiment, k: int, folder: Path) -> Start:
    """What the member's training would have started from alone, on one device."""
    flat = alone_of(experiment.flat, k)
    whole, recorded = complete(flat, {}), population.record["origin"]
    origin = {key: recorded.get(key, "default") if key in flat else "default" for key in whole.flat}
    run = origin_of(population)
    return Start(source_of(population), Complete(whole.flat, origin), folder, None if run is None else Path(run))


def gather(places: Sequence[Place], start: Start) -> None:
    """Writes the folder of a new run of these members; `config.json`, which makes it a run, comes last.

    All must be of one program and at one step. Open log windows are lost.

    Raises:
        UserError: one has no checkpoint, they are at different steps, or the folder holds something else.
    """
    run = Run(start.folder)
    if run.path.exists() and any(entry.name != ".lock" for entry in run.path.iterdir()):
        raise UserError(f"{run.path} is not empty and holds no run; choose another --workdir")
    trainings = {place.run.path: _restored(place) for place in places}
    parts = [_Part.of(trainings[place.run.path], place) for place in places]
    found = {int(part.tree["state"].step) for part in parts}
    if len(found) > 1:
        raise UserError(f"members at the steps {sorted(found)} cannot go on together; train them to one step first")
    step, alone = found.pop(), len(parts) == 1
    tree = parts[0].tree if alone else jax.tree.map(lambda *leaves: np.stack(leaves), *(part.tree for part in parts))
    best = [part.best_step for part in parts], [part.best_value for part in parts]
    checkpoints = Checkpoints(run.checkpoints, keep=1)
    checkpoints.save(step, tree, asdict(Memory(sum(part.seconds for part in parts), {}, *best)))
    checkpoints.close()
    lines = [line for k, place in enumerate(places) for line in _lines(place, None if alone else k, step)]
    write_text(run.path / "metrics.jsonl", "".join(map(json_line, sorted(lines, key=_order))))
    run.write("environment.json", _environment(places, start))
    origin = [{"run": str(place.run.path.resolve()), "member": place.number} for place in places]
    begun = places[0].run.record.get("from") or {"step": 0}
    run.write("config.json", start.record(begun["step"]) | {"extracted": origin})


@dataclass(frozen=True)
class _Part:
    """What is taken of one training: a member's state and best parameters, and what its loop remembers."""

    tree: dict[str, Any]
    seconds: float  # its share
    best_step: int
    best_value: float

    @classmethod
    def of(cls, training: Training, place: Place) -> "_Part":
        k, memory = place.number or 0, training.memory
        tree = {"state": training.state, "best": training.best}
        own = tree if place.number is None else member(tree, k)
        return cls(own, memory.seconds / len(memory.best_step), memory.best_step[k], memory.best_value[k])


def _restored(place: Place) -> Training:
    return restored(place.run, experiment_of(place.run, population=place.number is not None))


def _lines(place: Place, number: int | None, step: int) -> Iterator[dict[str, Any]]:
    """What a member logged up to the step, under its new number."""
    for line in place.run.metrics():
        if line.get("member") == place.number and line["step"] <= step:
            own = {key: value for key, value in line.items() if key != "member"}
            yield (
                own if number is None else {"step": own.pop("step"), "split": own.pop("split"), "member": number, **own}
            )


def _order(line: Mapping[str, Any]) -> tuple[int, bool, int]:
    """As the loop writes them."""
    return line["step"], line["split"] != "train", line.get("member", 0)


def _environment(places: Sequence[Place], start: Start) -> dict[str, Any]:
    """That of the first, in a form for so many members, with a note where the form has changed."""
    kept = {key: value for key, value in places[0].run.environment.items() if key != "format"}
    kept |= {"command": runtime.command()}
    before, size = kept["form"], len(places)
    if size == 1 and places[0].number is None:
        return kept
    if size == 1:
        form = {"kind": "solo", "devices": devices_of(start.complete.flat)}
        change = f"form: one of {before['members']} members together, now alone"
    else:
        devices = max(count for count in range(1, before["devices"] + 1) if size % count == 0)
        form = {"kind": "population", "members": size, "strategy": before.get("strategy", "map"), "devices": devices}
        change = f"form: members of {len({place.run.path for place in places})} runs, now together"
    form |= {"steps_per_call": before["steps_per_call"]}
    return kept | {"form": form, "resumed": [*kept["resumed"], [change]]}
