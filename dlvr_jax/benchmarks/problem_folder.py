"""Writes what a peer needs (see `peers/problem.py`): config, facts of the data, weights, one training batch."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from dlvr_jax.build import Experiment
from dlvr_jax.tasks.task import State


def write_problem(folder: Path, experiment: Experiment, state: State, batch: dict[str, Any]) -> None:
    """Three files in a folder that is there."""
    shapes = {name: feature.shape for name, feature in experiment.data.spec.features.items()}
    spec = experiment.data.spec
    told = {
        "flat": experiment.flat,
        "data": {
            "num_classes": spec.num_classes,
            "vocab_size": spec.vocab_size,
            "image_shape": shapes.get("image"),
            "mean": spec.mean,
            "std": spec.std,
        },
        "device": {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend()),
    }
    (folder / "problem.json").write_text(json.dumps(told), encoding="utf-8")
    weights: Any = jax.device_get(traverse_util.flatten_dict({"params": state.params, **state.variables}, sep="/"))
    np.savez(folder / "weights.npz", **weights)
    arrays: Any = {name: np.asarray(array) for name, array in batch.items()}
    np.savez(folder / "batch.npz", **arrays)
