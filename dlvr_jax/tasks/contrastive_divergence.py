"""Contrastive divergence, as a loss: the free energy of data less that of samples that stand still.

    loss = F(v) - F(v'),   v' = k Gibbs steps from the data (CD-k: Hinton 2002, doi 10.1162/089976602760128018), or from
    where the chains of the last update stopped (persistent CD: Tieleman 2008, doi 10.1145/1390156.1390290)

Its gradient is that of -log p(v) if v' is drawn from the model. Its value says nothing: it is near 0 all along.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from dlvr_jax.displays import Curves, Display, Images
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.annealed_importance import rbm_log_partition
from dlvr_jax.schema import Between
from dlvr_jax.sections import Count
from dlvr_jax.tasks.sampling.langevin import steps_between
from dlvr_jax.tasks.shown.energy import as_bytes, histograms, strips
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

SHOWN = 24  # pictures side by side
FIELDS = 64  # receptive fields
PARTS = {"weights", "visible_bias", "hidden_bias"}  # all that a partition function is estimated from

Visible = Float[Array, "batch visible"]


@dataclass(frozen=True)
class ContrastiveDivergence:
    """p(image) of binary pixels by a restricted Boltzmann machine. Free energies and likelihoods are in nats an image.

    The log-likelihood is by annealed importance sampling, from `ais_chains` chains over `ais_temperatures`: see
    metrics/annealed_importance.py for how far to trust it. The pseudo-log-likelihood is exact.
    """

    model: Any
    image_shape: tuple[int, int, int]
    steps: Count = 1  # k: of Gibbs sampling, an update
    persistent: bool = False
    threshold: Annotated[float, Between(0, 1)] = 0.5  # a pixel of at least that much of white is 1
    ais_chains: Annotated[int, Between(2, None)] = 100  # of one alone the error would not be known
    ais_temperatures: Annotated[int, Between(2, None)] = 1_000
    directions: ClassVar[Mapping[str, Direction]] = {
        "log_likelihood": "higher",
        "pseudo_log_likelihood": "higher",
        "reconstruction_error": "lower",
    }

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective. Raises UserError where the model has more than an RBM's weights and biases."""
        variables = dict(self.model.init({"params": key}, self._visible(batch), train=False))
        params = variables.pop("params")
        if variables or set(params) != PARTS:
            raise UserError(f"model.name: {type(self.model).__name__} is no RBM: it has more than {sorted(PARTS)}")
        return params, variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective: a chain for each row, of random pixels, if they are persistent."""
        if not self.persistent:
            return None
        return jax.random.bernoulli(key, 0.5, self._visible(batch).shape).astype(jnp.float32)

    def loss(
        self, params: Params, state: State, batch: Batch, keys: Keys
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective. Raises UserError for a model with rates: its partition function would depend on them."""
        if found := rates(state.hyper, "model"):
            raise UserError(f"model.{min(found)}: an RBM has no such rates; leave it out")
        visible = self._visible(batch)
        start = state.carry if self.persistent else visible
        chains, _ = _gibbs(self.model, jax.lax.stop_gradient(params), start, keys.own(Purpose.SAMPLING), self.steps)
        free_energy = partial(self.model.apply, {"params": params}, train=True)
        data, samples = free_energy(visible), free_energy(jax.lax.stop_gradient(chains))
        errors = self._reconstruction(params, visible)[1]
        sums = masked_sums(batch, {"loss": data - samples, "free_energy": data, "reconstruction_error": errors})
        return sums["loss"], (state.variables, chains if self.persistent else None, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "free_energy" (batch,), and "reconstruction" of the image's shape: probabilities of white."""
        visible = self._visible(batch)
        logits, _ = self._reconstruction(state.params, visible)
        return {
            "free_energy": self.model.apply({"params": state.params}, visible, train=False),
            "reconstruction": jax.nn.sigmoid(logits).reshape(-1, *self.image_shape),
        }

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. The reconstruction error is the mean squared difference of a pixel and its probability."""
        visible, variables = self._visible(batch), {"params": state.params}
        free_energy = self.model.apply(variables, visible, train=False)
        pseudo = self.model.apply(variables, visible, method="pseudo_log_likelihood")
        errors = self._reconstruction(state.params, visible)[1]
        values = {"free_energy": free_energy, "pseudo_log_likelihood": pseudo, "reconstruction_error": errors}
        return masked_sums(batch, values), {"index": batch["index"], "free_energy": free_energy}, carry

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Objective: those of `directions`, the free energy, and how sure annealed importance sampling is."""
        means = {name: float(top / bottom) for name, (top, bottom) in sums.items()}
        params = {name: jnp.asarray(leaf) for name, leaf in state.params.items()}
        partition = rbm_log_partition(
            params["weights"],
            params["visible_bias"],
            params["hidden_bias"],
            seed=0,
            chains=self.ais_chains,
            temperatures=self.ais_temperatures,
        )
        return {
            "log_likelihood": -means["free_energy"] - partition.value,
            **means,
            "log_partition": partition.value,
            "log_partition_error": partition.error,
            "ais_effective_chains": partition.effective_chains,
        }

    def sample(
        self,
        state: State,
        seed: int,
        *,
        count: Annotated[int, Between(1, 1_000)] = SHOWN,
        steps: Annotated[int, Between(1, 1_000_000)] = 1_000,
        frames: Annotated[int, Between(2, 100)] = 12,
    ) -> dict[str, Display]:
        """See Task: `count` chains of `steps` Gibbs steps from random pixels, as probabilities of white; and the first
        eight chains at `frames` times, in pixels. A few more steps are taken where the times would not be even.
        """
        key = Keys(seed, 0).shared(Purpose.SAMPLING)
        seen, probabilities = _walk(self.model, state.params, key, count, steps, frames)
        shape, taken = self.image_shape, (frames - 1) * steps_between(steps, frames)
        seen = np.asarray(seen)[:, :8].reshape(-1, min(count, 8), *shape)
        return {
            "samples": Images(as_bytes(np.asarray(probabilities)).reshape(-1, *shape), (), "Samples"),
            "chains": strips(as_bytes(seen), f"Gibbs chains of {taken} steps, from random pixels"),
        }

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Task: the binary images above their reconstructions."""
        given = np.asarray(self._visible(batch)).reshape(-1, *self.image_shape)
        both = np.concatenate([given, np.asarray(outputs["reconstruction"])], axis=1)
        captions = tuple(f"free energy {energy:.1f}" for energy in np.asarray(outputs["free_energy"]))
        return {"reconstructions": Images(as_bytes(both), captions, "Given, and reconstructed")}

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: receptive fields, reconstructions, free energies of examples beside those of random pixels."""
        state = jax.tree.map(jnp.asarray, state)
        some = dict(examples(outputs["index"][:SHOWN]))
        noise = np.random.default_rng(0).random((len(outputs["index"]), *state.params["visible_bias"].shape)) < 0.5
        energies = {
            "examples": outputs["free_energy"],
            "random pixels": np.asarray(
                self.model.apply({"params": state.params}, jnp.asarray(noise, jnp.float32), train=False)
            ),
        }
        return {
            "receptive_fields": self._fields(state.params),
            **self.show(some, jax.device_get(self.predict(state, some))),
            "free_energies": _free_energies(energies),
        }

    def _visible(self, batch: Batch) -> Visible:
        """The images as bits."""
        bits = batch["image"] >= np.ceil(255 * self.threshold)
        return jnp.asarray(bits, jnp.float32).reshape(len(batch["image"]), -1)

    def _reconstruction(self, params: Params, visible: Visible) -> tuple[Visible, Float[Array, " batch"]]:
        """Logits, and the squared error of an image."""
        logits = self.model.apply({"params": params}, visible, method="reconstruction")
        return logits, ((jax.nn.sigmoid(logits) - visible) ** 2).mean(-1)

    def _fields(self, params: Params) -> Images:
        """The weights of the hidden units with the largest ones, grey = 0."""
        weights = np.asarray(params["weights"]).T
        strongest = weights[np.argsort(-(weights**2).sum(1), kind="stable")[:FIELDS]]
        scaled = strongest / np.maximum(np.abs(strongest).max(1, keepdims=True), 1e-12)
        return Images(as_bytes((scaled + 1) / 2).reshape(-1, *self.image_shape), (), "Receptive fields")


def _free_energies(energies: Mapping[str, np.ndarray]) -> Curves:
    return histograms(energies, "free energy", "Free energies")


def _gibbs(model: Any, params: Params, visible: Visible, key: Key[Array, ""], steps: int) -> tuple[Visible, Visible]:
    """The pixels after some steps, and the probabilities that they came from."""

    def one(before: tuple[Visible, Visible], key: Key[Array, ""]) -> tuple[tuple[Visible, Visible], None]:
        return model.apply({"params": params}, before[0], key, method="gibbs"), None

    return jax.lax.scan(one, (visible, visible), jax.random.split(key, steps))[0]


@partial(jax.jit, static_argnums=(0, 3, 4, 5))
def _walk(
    model: Any, params: Params, key: Key[Array, ""], count: int, steps: int, frames: int
) -> tuple[Float[Array, "frames chains visible"], Visible]:
    """Chains from random pixels at evenly spaced times, and the probabilities that the last came from."""
    for_start, for_steps = jax.random.split(key)
    start = jax.random.bernoulli(for_start, 0.5, (count, *params["visible_bias"].shape)).astype(jnp.float32)

    def part(before: tuple[Visible, Visible], key: Key[Array, ""]) -> tuple[tuple[Visible, Visible], Visible]:
        after = _gibbs(model, params, before[0], key, steps_between(steps, frames))
        return after, after[0]

    (_, probabilities), seen = jax.lax.scan(part, (start, start), jax.random.split(for_steps, frames - 1))
    return jnp.concatenate([start[None], seen]), probabilities
