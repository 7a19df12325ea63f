"""A finished run as a notebook wants it: model, parameters, and what they say of new examples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlvr_jax.build import Experiment
from dlvr_jax.data.sources import Feature
from dlvr_jax.errors import UserError
from dlvr_jax.recorded import experiment_of, restored, source_of
from dlvr_jax.reporting.readable import number
from dlvr_jax.run import Run
from dlvr_jax.tasks.task import Params, State, Variables, evaluated
from dlvr_jax.training.compiled import predict_program
from dlvr_jax.training.training import chosen_state


@dataclass(frozen=True)
class Loaded:
    """The state that the run's summary is about: its best or last parameters, averaged where the run averages.

    `predict(examples)` returns arrays by name, one row an example; for a classifier "probabilities", "logits" (both
    float32 (count, classes)) and "prediction" (int32 (count,)). Examples are a batch, {feature: array with a leading
    axis}, or one array for the first feature, which of images is uint8 (count, height, width, channels). Each count
    of examples is compiled once. Raises UserError for another shape or type.
    """

    path: Path
    source: str  # the config's file and its argument: configs/cnn/lenet5_digits.py:tiny
    model: Any  # a Flax module: model.apply({"params": params, **variables}, inputs, train=False)
    params: Params
    variables: Variables
    config: dict[str, Any]  # complete and nested
    class_names: tuple[str, ...]
    step: int  # finished updates
    metrics: dict[str, float]  # of the summary; none of a run that has not finished
    predict: Callable[[Any], dict[str, np.ndarray]]

    def __repr__(self) -> str:
        """One line: where it lies, what it is, how far it is trained, and what came out."""
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        best = f"test/{self.config['eval']['best']}"
        name = best if best in self.metrics else next(iter(self.metrics), None)
        parts = [str(self.path), self.source, f"step {self.step:,}", f"{number(count)} parameters"]
        parts += [] if name is None else [f"{name} {number(self.metrics[name])}"]
        return f"Loaded({', '.join(parts)})"


def load(path: Path) -> Loaded:
    """See `dlvr_jax.load`."""
    run = Run(path)
    experiment = experiment_of(run)
    training = restored(run, experiment)
    state = chosen_state(training)
    params, variables = evaluated(state)
    names = experiment.data.spec.class_names
    metrics = (run.summary() or {"metrics": {}})["metrics"]
    step, predict = int(state.step), _predict(experiment, state)
    source, model = str(source_of(run)), experiment.model
    return Loaded(path, source, model, params, variables, run.config, names, step, metrics, predict)


def _predict(experiment: Experiment, state: State) -> Callable[[Any], dict[str, np.ndarray]]:
    features = experiment.data.spec.features

    def predict(examples: Any) -> dict[str, np.ndarray]:
        batch = _checked(examples, features)
        outputs = predict_program(experiment.task, state, batch)(state, batch)
        return {name: np.asarray(output) for name, output in outputs.items()}

    return predict


def _checked(examples: Any, features: Mapping[str, Feature]) -> dict[str, np.ndarray]:
    """The examples as a batch of the data's features, in shape and type."""
    first = next(iter(features))
    given = examples if isinstance(examples, Mapping) else {first: examples}
    if first not in given:
        raise UserError(f"the batch has no {first}; it has {', '.join(map(str, given)) or 'nothing'}")
    batch = {name: np.asarray(given[name]) for name in features if name in given}
    for name, array in batch.items():
        shape, dtype = features[name].shape, np.dtype(features[name].dtype)
        if array.shape[1:] != shape or array.ndim != len(shape) + 1 or array.dtype != dtype:
            wanted = f"{dtype} ({', '.join(['count', *map(str, shape)])})"
            raise UserError(f"{name}: {array.dtype} {array.shape} is given, but this run takes {wanted}")
    return batch
