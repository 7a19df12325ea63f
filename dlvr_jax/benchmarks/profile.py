"""A profile of training steps: a trace for TensorBoard and Perfetto, and the most expensive operations in words."""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

_ENCLOSING = ("while", "call", "conditional")  # operations whose time is that of others, told beside them
_PLUMBING = re.compile(r"jit\(.*|while.*|body.*|closed_call.*|cond|branch_\d+_fun|eval_jaxpr")  # no part of a model
_WORDS = {
    "add_any": "sum",
    "conv_general_dilated": "convolution",
    "dot_general": "product",
    "reduce_max": "maximum",
    "reduce_sum": "sum",
    "select_n": "choice",
}


@dataclass(frozen=True)
class Operation:
    """What a part of a compiled program took in a step, all its runs together."""

    what: str  # in words: "gradient of c1: convolution"
    name: str  # in the program
    seconds: float
    share: float  # of all operations


def trace(run: Callable[[], Any], folder: Path) -> Path:
    """Writes the trace of `run` into a folder; the file that Perfetto opens."""
    with jax.profiler.trace(str(folder), create_perfetto_trace=True):
        jax.block_until_ready(run())
    newest = max(folder.glob("plugins/profile/*"))
    return newest / "perfetto_trace.json.gz"


def most_expensive(trace_file: Path, program: str, steps: int = 1, count: int = 10) -> list[Operation]:
    """The operations that took longest, of a trace of so many steps. `program`: the compiled text, which says what each
    is for.
    """
    with gzip.open(trace_file, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    seconds: dict[str, float] = defaultdict(float)
    for event in events:
        name = event.get("args", {}).get("hlo_op")
        if name and event.get("ph") == "X" and not name.startswith(_ENCLOSING):
            seconds[name] += event["dur"] / 1e6 / steps
    total = sum(seconds.values()) or 1.0
    longest = sorted(seconds, key=lambda name: -seconds[name])[:count]
    sources = _sources(program)
    return [Operation(_in_words(sources.get(n, ""), n), n, seconds[n], seconds[n] / total) for n in longest]


def _sources(program: str) -> dict[str, str]:
    """Of each instruction where it comes from, as JAX wrote it: "jit(f)/transpose(jvp(Net))/c1/dot_general"."""
    found = re.findall(r'^\s*(?:ROOT )?%?([\w.-]+) = .*?metadata={op_name="([^"]*)"', program, flags=re.MULTILINE)
    return dict(found)


def _in_words(source: str, name: str) -> str:
    """Which way, in which layer, which operation."""
    if name.startswith("all-reduce"):  # of many sources
        return "sum over devices"
    if not source:
        return name
    parts = [part for part in source.split("/") if not _PLUMBING.fullmatch(part)]
    backward = any(part.startswith("transpose(") for part in parts)
    layers = [re.sub(r"\w+\((.*)\)", r"\1", re.sub(r"\w+\((.*)\)", r"\1", part)) for part in parts]
    *path, operation = [layer for layer in layers if layer] or [name]
    place, operation = ".".join(path), _WORDS.get(operation, operation)
    way = "gradient of " if backward else ""
    return f"{way}{place}: {operation}" if place else f"{way}{operation}"
