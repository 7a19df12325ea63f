"""How a training is computed, by measuring: what is fastest depends on the operations and the device."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar, get_args

import jax
from jax.errors import JaxRuntimeError

from dlvr_jax.data.batches import Batches
from dlvr_jax.errors import lacks_memory
from dlvr_jax.reporting.console import activity
from dlvr_jax.sections import Strategy
from dlvr_jax.tasks.task import State, Task
from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.evaluation import Split
from dlvr_jax.training.population import Population
from dlvr_jax.training.sharding import Placement

Way = TypeVar("Way")  # to compute a training: a form, or a number of devices
Step = Callable[[], float]  # takes a step, or those of a call, and gives the seconds
REPEATS = 5  # of a call of each
MOST_UNROLLED = 16  # members on a device
LONGEST = 60.0  # seconds of compiling that unrolling may take


@dataclass(frozen=True)
class Form:
    """How the members are computed: by what, on each of so many devices."""

    strategy: Strategy
    devices: int = 1

    def __str__(self) -> str:
        return self.strategy if self.devices == 1 else f"{self.strategy} on {self.devices} devices"


def forms(size: int, devices: int, at_most: int) -> list[Form]:
    """What may be tried: each strategy on so many devices, or where that is one on as many more as share evenly."""
    counts = {devices}
    if devices == 1:
        counts.add(max(count for count in range(1, at_most + 1) if size % count == 0))
    every = [Form(strategy, count) for count in sorted(counts) for strategy in get_args(Strategy)]
    return [form for form in every if form.strategy != "unroll" or size // form.devices <= MOST_UNROLLED]


def measure(
    population: Callable[[Form], Population], tried: list[Form], per_call: int, state: Any, batches: Batches
) -> dict[Form, float]:
    """Seconds a step of each form, the median of a few calls, all in turn, since machines drift; the state is left as
    it is. Shows what is being measured.

    To unroll takes about as many times longer to compile than `map` as a device has members: not where that is long. A
    form for which there is too little memory is left out.
    """
    splits = {count: Split.place(batches, Placement.over(count, members=True)) for count in {f.devices for f in tried}}
    steps: dict[Form, Step | JaxRuntimeError] = {}
    compiling: dict[Form, float] = {}
    with activity() as show:
        for number, form in enumerate(tried, start=1):
            one = population(form)
            mapped = compiling.get(Form("map", form.devices), 0.0)
            if form.strategy == "unroll" and mapped * one.size / form.devices > LONGEST:
                continue
            show(f"measuring how to compute {one.size} members, {number} of {len(tried)}: {form}")
            started = time.perf_counter()
            steps[form] = _warm_step(one, per_call, state, splits[form.devices])
            compiling[form] = time.perf_counter() - started
        return _in_turn(steps, per_call)


def measure_devices(
    task: Task, counts: Sequence[int], per_call: int, state: State, batches: Batches
) -> dict[int, float]:
    """Seconds a step of a run alone whose batches so many devices share; otherwise as `measure`."""
    steps: dict[int, Step | JaxRuntimeError] = {}
    with activity() as show:
        for count in counts:
            show(f"measuring a step on {count} of {max(counts)} devices")
            steps[count] = _warm_step(task, per_call, state, Split.place(batches, Placement.over(count)))
        return _in_turn(steps, per_call)


def _warm_step(one: Task, per_call: int, state: Any, split: Split) -> Step | JaxRuntimeError:
    """The compiled program, after a first call, or why there is too little memory for it."""
    try:
        step = _step(one, per_call, state, split)
        step()
    except JaxRuntimeError as error:
        if not lacks_memory(error):
            raise
        return error
    return step


def _step(one: Task, per_call: int, state: Any, split: Split) -> Step:
    sent = split.first_call(per_call, one.micro)
    program = train_program(one, per_call, split.placement.state(state, one.micro), split.resident, sent)

    def step() -> float:
        copied = jax.tree.map(lambda leaf: leaf.copy(), state)  # the program uses it up
        own = split.placement.state(copied, one.micro)
        jax.block_until_ready(own)
        started = time.perf_counter()
        jax.block_until_ready(program(own, split.resident, sent))
        return time.perf_counter() - started

    return step


def _in_turn(steps: Mapping[Way, Step | JaxRuntimeError], per_call: int) -> dict[Way, float]:
    """The median of a few calls of each that there is room for.

    Raises:
        JaxRuntimeError: there is none.
    """
    short = [step for step in steps.values() if isinstance(step, JaxRuntimeError)]
    able = {way: step for way, step in steps.items() if not isinstance(step, JaxRuntimeError)}
    if not able:
        raise short[-1]
    rounds = [{way: step() for way, step in able.items()} for _ in range(REPEATS)]
    return {way: median([seconds[way] for seconds in rounds]) / per_call for way in able}


def fastest(seconds: Mapping[Way, float]) -> Way:
    """The one with the least time."""
    return min(seconds, key=seconds.__getitem__)
