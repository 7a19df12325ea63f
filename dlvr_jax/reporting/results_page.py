"""The page of measured results, `docs/results.md`: the same text for the same results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlvr_jax.reporting.markdown import table
from dlvr_jax.reporting.readable import duration, number
from dlvr_jax.reporting.results import Result
from dlvr_jax.reporting.studies_page import Study, text

_HEAD = """# Measured results

Made by `./launch.sh results` from `docs/results/*.json`; do not edit. Each row can be measured again by its command.
Values are means over the seeds ± the sample standard deviation; the time is that of one training. Below each table is
what else was measured: on the test split, and in the last logged steps of training ("train/").
"""
_COLUMNS = ("config", "result", "seeds", "parameters", "steps", "time", "device", "versions", "date", "command")


def page(results: Sequence[Result], studies: Sequence[Study] = ()) -> str:
    """Markdown with a table for each family, then one for each study."""
    parts = [_HEAD]
    for family in sorted({result.family for result in results}):
        own = [result for result in results if result.family == family]
        more = "".join(map(_more, own)) + _judged(own)
        parts += [f"## {family}\n", table(_COLUMNS, [_row(result) for result in own]), more]
    parts += ["## Studies\n", *map(text, studies)] if studies else []
    return "\n".join(parts if results or studies else [_HEAD, "None yet.\n"])


def _name(result: Result) -> str:
    flags = "".join(f" {key}={value}" for key, value in sorted(result.flags.items()))
    return Path(result.config).name.replace(".py", "") + flags


def _more(result: Result) -> str:
    """Everything else that was measured, as an item of a list; the way of the metric that counts, of the first seed."""
    others = ", ".join(f"{name} {spread}" for name, spread in result.metrics.items() if name != result.metric)
    way = ", ".join(f"{number(value)} ({step})" for step, value in result.history[0].items())
    return f"- {_name(result)}: {others}. On validation, of seed {result.seeds[0]} (after so many steps): {way}.\n"


def _judged(results: Sequence[Result]) -> str:
    """What FID and its like rest on: a sentence for each set-up, with the results that share it."""
    configs: dict[str, list[str]] = {}
    for result in results:
        if result.set_up:
            configs.setdefault(_set_up(result.set_up), []).append(_name(result))
    return "".join(f"\nFID and its like of {', '.join(names)}: {words}\n" for words, names in configs.items())


def _set_up(own: Mapping[str, Any]) -> str:
    """A set-up as a sentence; what it does not say is left out."""
    facts = [f"SHA-256 {own['sha256'][:12]}"]
    if "test_accuracy" in own:
        facts.append(f"test accuracy {number(own['test_accuracy'])} on {own['trained_on']}")
    counts = f"{number(own['generated_count'])} images beside {number(own['real_count'])} real ones"
    data = f"the {own['split']} split of {own['data']}"
    known = f", nearest of {number(own['training_count'])} training images" if "training_count" in own else ""
    return f"judged by {own['network']} ({', '.join(facts)}); {counts} of {data}{known}."


def _row(result: Result) -> tuple[str, ...]:
    return (
        _name(result),
        f"{result.metric} {result.value}",
        ", ".join(map(str, result.seeds)),
        number(result.parameters),
        number(result.steps),
        duration(result.seconds.mean),
        result.where,
        ", ".join(f"{name} {result.versions[name]}" for name in ("jax", "flax") if name in result.versions),
        result.date,
        f"`{result.command}`",
    )
