"""What every task is: pure functions of one state. How a loss becomes a task: `from_loss.py`."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Key

from dlvr_jax.displays import Display
from dlvr_jax.random_key import key_of

Leaf = Any  # an array; in a population with a member axis in front; abstract while shapes are worked out
Params = Any  # a pytree of arrays
Variables = dict[str, Any]  # the model's other collections, batch statistics for one
Batch = Mapping[str, Any]  # arrays: features by name, "index" in the split, "mask" (True = real); see data/batches.py
Hyper = Mapping[str, Any]  # every number that may vary, by its config key; None = absent from the program
Ratio = tuple[Array, Array]  # numerator and denominator
Sums = dict[str, Ratio]  # they add over batches, steps and devices; divided only when printed
Outputs = dict[str, Array]  # per example, for what is no ratio of sums
Carry = Any  # what passes from batch to batch beside parameters: recurrent states, Markov chains; None elsewhere
Direction = Literal["lower", "higher"]  # is better


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "variables", "opt_state", "average", "carry", "hyper", "seed", "step", "failed"],
    meta_fields=[],
)
@dataclass(frozen=True)
class State:
    """All that changes in a training, as one pytree of arrays: the same object resumes, forks and populates."""

    params: Params
    variables: Variables
    opt_state: Any
    average: Any  # (params, variables): exponential moving averages, where `train.ema` is a number; else None
    carry: Carry  # never averaged; its rows belong to the batch's rows
    hyper: Hyper
    seed: Leaf  # uint32 ()
    step: Leaf  # int32 (): finished updates
    failed: Leaf  # int32 (): the update that gave a non-finite number and so was not made; 0 = none


class Purpose(IntEnum):
    """What a key is for. Numbers are for ever: changing one changes every bit of every run."""

    INIT = 0
    DROPOUT = 1
    AUGMENTATION = 2
    NOISE = 3
    SAMPLING = 4
    CARRY = 5


@dataclass(frozen=True)
class Keys:
    """The random keys of one micro-batch of one step: functions of (seed, step, purpose), kept nowhere."""

    seed: ArrayLike
    step: ArrayLike
    micro: ArrayLike = 0

    def shared(self, purpose: Purpose) -> Key[Array, ""]:
        """The same for all micro-batches of the step: for what is drawn per example, by its index."""
        return jax.random.fold_in(jax.random.fold_in(key_of(self.seed), self.step), int(purpose))

    def own(self, purpose: Purpose) -> Key[Array, ""]:
        """This micro-batch's own."""
        return jax.random.fold_in(self.shared(purpose), self.micro)


def rates(hyper: Hyper, section: str) -> dict[str, Any]:
    """The hyper of one section by their argument's name: {"model.dropout": 0.1} -> {"dropout": 0.1}."""
    prefix = section + "."
    return {key.removeprefix(prefix): value for key, value in hyper.items() if key.startswith(prefix)}


def masked_sums(batch: Batch, values: Mapping[str, Array]) -> Sums:
    """Of values (batch,) the sum over the real examples, with their count."""
    mask, count = batch["mask"], batch["mask"].sum(dtype=jnp.float32)
    return {name: (jnp.where(mask, value, 0).sum(dtype=jnp.float32), count) for name, value in values.items()}


@runtime_checkable
class Task(Protocol):
    """What is learned. Equal tasks (by value) share their compiled programs."""

    @property
    def micro(self) -> int:
        """The length of a training batch's leading axis, where it is over 1."""

    @property
    def batches_per_step(self) -> int:
        """How many batches of `train.batch_size` examples a step reads: 1, or the critic's updates of a GAN."""

    @property
    def directions(self) -> Mapping[str, Direction]:
        """Which way each metric improves that a best state may be chosen by; all of them are metrics of `finish`."""

    @property
    def sample(self) -> Callable[..., dict[str, Display]] | None:
        """(state to evaluate, seed, *, options) -> displays of what it makes; None where it makes nothing.

        The options are keyword-only parameters with defaults: the flags of the verb `sample`.
        """

    @property
    def show(self) -> Callable[..., dict[str, Display]] | None:
        """(batch, outputs of `predict`) -> displays of examples with what is said of them; None where there is none."""

    def init(self, seed: ArrayLike, hyper: Hyper, batch: Batch) -> State:
        """The state before the first update. `seed`: a uint32; of the batch only the shapes matter."""

    def train_step(self, state: State, batch: Batch) -> tuple[State, Sums]:
        """One update. Each of its sums is a number, kept as float32."""

    def initial_carry(self, batch: Batch) -> Carry:
        """What the first batch of an evaluation starts from; of the batch only the shapes matter."""

    def eval_step(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """What one batch adds to the evaluation; with the averaged parameters where there are any."""

    def predict(self, state: State, batch: Batch) -> Outputs:
        """What is said of each example, by its features alone; with the averaged parameters where there are any."""

    def finish(
        self,
        state: State,
        sums: Mapping[str, tuple[np.ndarray, np.ndarray]],
        outputs: Mapping[str, np.ndarray],
    ) -> dict[str, float]:
        """The metrics of a whole evaluation, from added sums (float64), collected outputs and the state."""

    def displays(
        self, state: State, sums: Any, outputs: Any, examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """What is worth looking at after an evaluation; `examples` fetches by index."""

    def non_finite(self, state: State, batch: Batch) -> Any:
        """Whether each leaf of the gradient at this batch holds a non-finite number: a tree of booleans."""


def evaluated(state: State) -> tuple[Params, Variables]:
    """What evaluation uses: the averages where there are any."""
    return (state.params, state.variables) if state.average is None else state.average


def as_evaluated(state: State) -> State:
    """The state with the averages, where there are any, in the place of parameters and variables."""
    params, variables = evaluated(state)
    return dataclasses.replace(state, params=params, variables=variables)
