"""What differs between two run folders, in all that equal runs have in common: everything but times.

Pure functions of the folders; they import nothing heavy and load no array: checkpoints carry a digest of each leaf.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from dlvr_jax import guarantee
from dlvr_jax.config import flatten
from dlvr_jax.run import TIMES, Run
from dlvr_jax.training.checkpoint import read_meta, steps

NOTHING = "nothing"
DIGEST = 64  # characters of a SHA-256


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in two runs."""

    place: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.place}: {_short(self.first)} in the first, {_short(self.second)} in the second"


def differences(first: Run, second: Run) -> list[Difference]:
    """What differs, of each kind the first: config, data, metrics, checkpoints, parameters, final metrics.

    Of the checkpoints the steps that both have are compared, leaf by leaf.

    Raises:
        UserError: a folder is no run, or damaged.
    """
    kinds = (_configs, _metrics, _checkpoints, _summaries)
    return [difference for kind in kinds for difference in kind(first, second)]


def unequal(place: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    """Keys whose values differ, in the order of the first; compared as JSON, where NaN equals NaN and 1 is not 1.0."""
    for key in [*first, *(key for key in second if key not in first)]:
        one, other = first.get(key, NOTHING), second.get(key, NOTHING)
        if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
            yield Difference(place + key, one, other)


def common_steps(first: Run, second: Run) -> list[int]:
    """The steps of which both runs have a checkpoint, ascending."""
    return sorted(set(steps(first.checkpoints)) & set(steps(second.checkpoints)))


def verdict(first: Run, second: Run, found: Sequence[Difference]) -> list[str]:
    """In lines: equal, or what differs and why it may."""
    if not found:
        steps = ", ".join(map(str, common_steps(first, second))) or "none"
        both = f"{first.path} and {second.path}"
        return [f"equal: parameters, data, metrics and the checkpoints of steps {steps} of {both}"]
    told = [*map(str, found), *_reasons(first, second)]
    return [f"not equal: {first.path} and {second.path}", *(f"  {line}" for line in told)]


def _reasons(first: Run, second: Run) -> list[str]:
    """Why equal runs were not to be expected, as far as the records tell."""
    before, now = first.environment, second.environment
    changes = guarantee.differences(before, now)
    changes += sorted({f"when resumed, {change}" for resumed in before["resumed"] for change in resumed})
    if before["git"].get("dirty") and now["git"].get("dirty"):
        changes.append("git: files differed from their commit both times, and perhaps from each other")
    known = "no reason is known: device, CPU, threads, versions, flags, form and code are the same"
    return [f"why it may: {change}" for change in changes] or [known]


def _configs(first: Run, second: Run) -> Iterator[Difference]:
    yield from unequal("config.json, ", flatten(first.config), flatten(second.config))


def _metrics(first: Run, second: Run) -> Iterator[Difference]:
    """The first line of `metrics.jsonl` that differs, and in it the first key."""
    lines = zip_longest(map(_timeless, first.metrics()), map(_timeless, second.metrics()))
    for number, (one, other) in enumerate(lines, start=1):
        if one is None or other is None:
            yield Difference(f"metrics.jsonl, line {number}", _named(one), _named(other))
            return
        found = [*unequal(f"metrics.jsonl, step {one['step']}, {one['split']}, ", one, other)]
        if found:
            yield found[0]
            return


def _checkpoints(first: Run, second: Run) -> Iterator[Difference]:
    """The first common step whose state or memory differs, and there the first leaf."""
    for step in common_steps(first, second):
        one, other = (read_meta(run.checkpoints / str(step)) for run in (first, second))
        leaves = unequal(f"checkpoints/{step}, ", one["digests"], other["digests"])
        memory = unequal(f"checkpoints/{step}, memory/", _timeless(one["memory"]), _timeless(other["memory"]))
        found = [*leaves, *memory]
        if found:
            yield found[0]
            return


def _summaries(first: Run, second: Run) -> Iterator[Difference]:
    """Data, parameters and final metrics (the first that differs); or which of the runs has not finished."""
    one, other = first.summary(), second.summary()
    if one is None or other is None:
        states = ["unfinished" if summary is None else "finished" for summary in (one, other)]
        yield from unequal("", {"summary.json": states[0]}, {"summary.json": states[1]})
        return
    for key in ("step", "data", "params_sha256"):
        yield from unequal("summary.json, ", {key: one[key]}, {key: other[key]})
    yield from list(unequal("summary.json, ", one["metrics"], other["metrics"]))[:1]


def _timeless(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in TIMES}


def _named(line: Mapping[str, Any] | None) -> str:
    return NOTHING if line is None else f"step {line['step']}, {line['split']}"


def _short(value: Any) -> str:
    """A value as a line can hold it; of a digest its beginning."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) == DIGEST and set(text) <= set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= 80 else text[:77] + "..."
