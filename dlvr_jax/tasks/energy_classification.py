"""Classes of points by their energies: p(y | x) = softmax(-E(x, y)) over y, by cross-entropy.

LeCun et al. 2006, "A Tutorial on Energy-Based Learning". Cross-entropy sees only differences between classes. With
Langevin chains the density of the points is learned as well, as in "Your Classifier is Secretly an Energy-Based Model",
Grathwohl et al. 2020, https://arxiv.org/abs/1912.03263:

    E(x) = -log sum_y exp(-E(x, y))
    loss = -log p(y | x) + generative * (E(x) - E(x') + energy_l2 * (E(x)^2 + E(x')^2))

with x' from chains that stand still in the gradient; then energies are low where the data lie.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from dlvr_jax.displays import Display
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.classification import classification_sums, finish_classification
from dlvr_jax.schema import Between, Number
from dlvr_jax.sections import Count
from dlvr_jax.tasks.cross_entropy import DIRECTIONS
from dlvr_jax.tasks.sampling.langevin import Box, Dynamics, langevin
from dlvr_jax.tasks.sampling.replay import drawn, put_back
from dlvr_jax.tasks.shown.classification import class_displays
from dlvr_jax.tasks.shown.energy import histograms, landscape, over_landscape
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Direction,
    Keys,
    Outputs,
    Params,
    Purpose,
    Ratio,
    State,
    Sums,
    Variables,
    masked_sums,
    rates,
)

Positive = Annotated[Number, Between(0, None)]
Points = Float[Array, "batch dimensions"]


@dataclass(frozen=True)
class EnergyClassification:
    """One label of `num_classes` for each point. Losses and energies are in nats.

    `langevin_steps` of each update make it generative; without them the numbers of `loss` mean nothing. Chains live in
    the square (or cube) from `low` to `high` on each axis, which is also what the landscape shows.
    """

    model: Any
    sample_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    langevin_steps: Annotated[int | None, Between(1, None)] = None
    buffer_size: Count = 1_000  # chains; at least the rows of a batch
    low: float = -2.5
    high: float = 2.5
    directions: ClassVar[Mapping[str, Direction]] = DIRECTIONS

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UserError(f"task.low = {self.low:g} must be less than task.high = {self.high:g}")

    @property
    def box(self) -> Box:
        """Where chains live."""
        return Box(self.low, self.high)

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, batch["point"], train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective: chains anywhere in the box, if it is generative."""
        if self.langevin_steps is None:
            return None
        rows, dimensions = batch["point"].shape
        return self.box.uniform(key, (max(self.buffer_size, rows), dimensions))

    def loss(
        self,
        params: Params,
        state: State,
        batch: Batch,
        keys: Keys,
        *,
        generative: Positive = 1.0,
        step_size: Positive = 0.005,
        restart: Annotated[Number, Between(0, 1)] = 0.05,
        energy_l2: Positive | None = 0.05,
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective. The "loss" that is logged is the cross-entropy alone.

        The chains' noise is sqrt(2 step_size), so that they come to the density itself; each starts anew with the
        probability `restart`.
        """
        points, rows, carry = batch["point"], len(batch["point"]), None
        if self.langevin_steps is not None:
            chains, carry = self._chains(state, batch, keys, Dynamics(step_size, jnp.sqrt(2 * step_size)), restart)
            points = jnp.concatenate([points, chains])  # one call, so that statistics of a batch are of both
        every, variables = self._trained(params, state, points, keys)
        energies = every[:rows]
        losses = optax.softmax_cross_entropy_with_integer_labels(-energies, batch["label"])
        shown = {"loss": losses, "accuracy": energies.argmin(-1) == batch["label"]}
        if self.langevin_steps is not None:
            real, sampled = marginal(energies), marginal(every[rows:])
            contrast = real - sampled
            if energy_l2 is not None:
                contrast = contrast + energy_l2 * (real**2 + sampled**2)
            losses = losses + generative * contrast
            shown |= {"energy": real, "energy_sampled": sampled}
        sums = masked_sums(batch, {"objective": losses, **shown})
        return sums.pop("objective"), (variables, carry, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "energies" and "probabilities" (batch, classes), the likeliest label, "prediction"."""
        energies = self._energies(state.params, state, batch["point"])
        return {
            "energies": energies,
            "probabilities": jax.nn.softmax(-energies),
            "prediction": energies.argmin(-1),
            "energy": marginal(energies),
        }

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective."""
        predicted = self.predict(state, batch)
        losses = optax.softmax_cross_entropy_with_integer_labels(-predicted["energies"], batch["label"])
        kept = {name: predicted[name] for name in ("prediction", "energy")}
        outputs = {"index": batch["index"], "point": batch["point"], "label": batch["label"], **kept}
        return classification_sums(-predicted["energies"], batch["label"], batch["mask"], losses), outputs, carry

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Objective: a classifier's metrics, and mean energies of the points and of points anywhere in the box."""
        around = self._marginal_at(state, self._anywhere(outputs))
        energies = {"energy": float(outputs["energy"].mean()), "energy_anywhere": float(around.mean())}
        return finish_classification(sums) | energies

    def sample(
        self,
        state: State,
        seed: int,
        *,
        count: Annotated[int, Between(1, 10_000)] = 500,
        steps: Annotated[int, Between(1, 1_000_000)] = 1_000,
        step_size: Annotated[float, Between(0, None)] | None = None,
    ) -> dict[str, Display]:
        """See Task, in the plane: `count` points by Langevin steps from anywhere in the box, over the landscape, each
        in the colour of its likeliest class. Without `step_size` it is the training's.
        """
        if self.sample_shape != (2,):
            return {}
        size = state.hyper["task.step_size"] if step_size is None else jnp.float32(step_size)
        before = (state.params, state.variables, dict(state.hyper))
        key = Keys(seed, 0).shared(Purpose.SAMPLING)
        points = np.asarray(_walk(self.model, *before, key, size, count, steps, self.box))
        labels = np.asarray(_jitted(self.model, *before, points)).argmin(-1)
        heat = landscape(partial(self._marginal_at, state), self.low, self.high, "Energy, less its mean")
        title = f"Samples: {steps} Langevin steps from anywhere"
        return {"samples": over_landscape(heat, points, labels, self.low, self.high, title)}

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: a classifier's, the energies of points and of anywhere; in the plane the landscape of E(x)
        and of the difference between the first two classes, and the points over it.
        """
        kinds = {"examples": outputs["energy"], "anywhere": self._marginal_at(state, self._anywhere(outputs))}
        shown: dict[str, Display] = {
            **class_displays(sums, self.class_names),
            "energy_histogram": histograms(kinds, "energy", "Energies"),
        }
        if self.sample_shape != (2,):
            return shown
        heat = landscape(partial(self._marginal_at, state), self.low, self.high, "Energy, less its mean")
        where = (outputs["point"], outputs["label"], self.low, self.high)
        return shown | {"landscape": heat, "points": over_landscape(heat, *where, "Test points over their energy")}

    def _energies(self, params: Params, state: State, points: Points) -> Float[Array, "batch classes"]:
        return _energies(self.model, params, state.variables, state.hyper, points)

    def _trained(
        self, params: Params, state: State, points: Points, keys: Keys
    ) -> tuple[Float[Array, "batch classes"], Variables]:
        """Energies with dropout and with statistics of the batch, where the model has such; all variables after it."""
        energies, after = self.model.apply(
            {"params": params, **state.variables},
            points,
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        return energies, dict(after)

    def _chains(self, state: State, batch: Batch, keys: Keys, dynamics: Dynamics, restart: Any) -> tuple[Points, Carry]:
        """Points of the buffer after some more steps, and the buffer with them."""
        for_fresh, for_rows, for_steps = jax.random.split(keys.own(Purpose.SAMPLING), 3)
        fresh = self.box.uniform(for_fresh, batch["point"].shape)
        rows, start = drawn(state.carry, for_rows, fresh, restart)
        energy = partial(_marginal_energy, self.model, state.params, state.variables, state.hyper)
        assert self.langevin_steps is not None
        chains = langevin(energy, start, for_steps, self.langevin_steps, dynamics, self.box)
        return chains, put_back(state.carry, rows, chains)

    def _anywhere(self, outputs: Mapping[str, np.ndarray]) -> Float[np.ndarray, "points dimensions"]:
        shape = outputs["point"].shape
        return np.random.default_rng(0).uniform(self.low, self.high, shape).astype(np.float32)

    def _marginal_at(
        self, state: State, points: Float[np.ndarray, "points dimensions"]
    ) -> Float[np.ndarray, " points"]:
        found = _jitted(self.model, state.params, state.variables, dict(state.hyper), points)
        return np.asarray(marginal(found))


def marginal(energies: Float[Array, "batch classes"]) -> Float[Array, " batch"]:
    """E(x) = -log sum_y exp(-E(x, y))."""
    return -jax.nn.logsumexp(-energies, axis=-1)


def _energies(
    model: Any, params: Params, variables: Variables, hyper: Any, points: Points
) -> Float[Array, "batch classes"]:
    energies: Array = model.apply({"params": params, **variables}, points, train=False, **rates(hyper, "model"))
    return energies


def _marginal_energy(
    model: Any, params: Params, variables: Variables, hyper: Any, points: Points
) -> Float[Array, " batch"]:
    return marginal(_energies(model, params, variables, hyper, points))


_jitted = jax.jit(_energies, static_argnums=0)


@partial(jax.jit, static_argnums=(0, 6, 7, 8))
def _walk(
    model: Any,
    params: Params,
    variables: Variables,
    hyper: Any,
    key: Key[Array, ""],
    step_size: Array,
    count: int,
    steps: int,
    box: Box,
) -> Points:
    for_start, for_steps = jax.random.split(key)
    energy = partial(_marginal_energy, model, params, variables, hyper)
    start = box.uniform(for_start, (count, 2))
    return langevin(energy, start, for_steps, steps, Dynamics(step_size, jnp.sqrt(2 * step_size)), box)
