"""How a population is computed, by measuring: which strategy is fastest depends on the operations and the device."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, get_args

import jax

from dlvr_jax.training.compiled import train_program
from dlvr_jax.training.population import Population, Strategy

REPEATS = 5  # of a call, after one that warms up
MOST_UNROLLED = 16  # members; more make a program that takes long to compile


def measure(
    population: Callable[[Strategy], Population], per_call: int, state: Any, resident: Any, payload: Any
) -> dict[Strategy, float]:
    """Seconds a step of each strategy, the median of a few calls; the state is left as it is."""
    seconds: dict[Strategy, float] = {}
    for strategy in get_args(Strategy):
        one = population(strategy)
        if strategy == "unroll" and one.size > MOST_UNROLLED:
            continue
        program, times = train_program(one, per_call, state, resident, payload), []
        for _ in range(1 + REPEATS):
            own = jax.block_until_ready(jax.tree.map(lambda leaf: leaf.copy(), state))  # the program uses it up
            started = time.perf_counter()
            jax.block_until_ready(program(own, resident, payload))
            times.append(time.perf_counter() - started)
        seconds[strategy] = median(times[1:]) / per_call
    return seconds


def fastest(seconds: Mapping[Strategy, float]) -> Strategy:
    """The one with the least time."""
    return min(seconds, key=seconds.__getitem__)
