"""What came out of each member of a population, for the summary and to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from dlvr_jax.build import Experiment
from dlvr_jax.displays import Table
from dlvr_jax.reporting.readable import headline
from dlvr_jax.training.checkpoint import tree_digest
from dlvr_jax.training.population import member
from dlvr_jax.training.training import Training


def summaries(experiment: Experiment, training: Training, found: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """An entry for each member: what it was chosen by on validation, and its test metrics.

    "failed" is the update that was not finite, 0 for none.
    """
    state, memory, best = jax.device_get(training.state), training.memory, experiment.evaluation.best
    return [
        {
            "member": k,
            "seed": experiment.seeds[k],
            "varied": experiment.varied(k),
            "failed": int(state.failed[k]),
            "tested_step": memory.best_step[k] or int(state.step[k]),
            "metrics": {
                **({f"validation/{best}": memory.best_value[k]} if memory.best_step[k] else {}),
                **{f"test/{name}": value for name, value in own.items()},
            },
            "params_sha256": tree_digest(member(state.params, k)),
        }
        for k, own in enumerate(found)
    ]


def table(members: Sequence[Mapping[str, Any]]) -> Table:
    """A row a member: seed, what varies, its main metrics, and where it failed if one did."""
    failed = any(own["failed"] for own in members)
    rows = []
    for own in members:
        cells = {"member": own["member"], "seed": own["seed"], **own["varied"]}
        cells |= headline(own["metrics"]) | {"tested step": own["tested_step"]}
        rows.append(cells | ({"failed at step": own["failed"] or "-"} if failed else {}))
    return Table(tuple(rows[0]), tuple(tuple(row.values()) for row in rows), "Members")
