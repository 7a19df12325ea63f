"""An energy of images, learned by maximum likelihood with Langevin chains: Du and Mordatch 2019, "Implicit Generation
and Modeling with Energy-Based Models", https://arxiv.org/abs/1903.08689; Nijkamp et al. 2019,
https://arxiv.org/abs/1904.09770.

    loss = E(x) - E(x') + energy_l2 * (E(x)^2 + E(x')^2)

x' are chains out of a replay buffer after some Langevin steps, and stand still in the gradient. Without the last term
both energies may run away together, since only their difference counts. The value of the loss says nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from dlvr_jax.displays import Display, Images
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.metrics.out_of_distribution import detection
from dlvr_jax.random_key import key_of
from dlvr_jax.schema import Between, Number
from dlvr_jax.sections import Count
from dlvr_jax.tasks.image_quality import Training, image_quality, nearest_shown
from dlvr_jax.tasks.other_images import OtherImages
from dlvr_jax.tasks.sampling.langevin import Box, Dynamics, langevin, langevin_path, steps_between
from dlvr_jax.tasks.sampling.replay import drawn, put_back
from dlvr_jax.tasks.shown.energy import histograms, strips
from dlvr_jax.tasks.shown.generated import as_bytes, as_signed
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
BOX = Box(-1.0, 1.0)  # images by their pixels: black, white
_ROWS = 500  # images whose energies are computed at once

Positive = Annotated[Number, Between(0, None)]
Pixels = Float[Array, "batch height width channels"]
Pictures = UInt8[np.ndarray, "count height width channels"]


@dataclass(frozen=True)
class Energy:
    """p(image) = exp(-E(image)) / Z, with images in [-1, 1] and a model that gives one energy an image, in nats.

    `other_data` names a data set that energies should tell from this one: its images are counted as found where their
    energy is higher. Uniform noise always is such another kind. `features` is the path of a feature network: then the
    buffer's chains are judged as generated images, beside as many real ones (see image_quality.py; it wants 5,000).

    The buffer is that of the training's last step, also where an average or the best parameters are evaluated: its
    chains are samples of the energy only as far as that has not moved since.
    """

    model: Any
    image_shape: tuple[int, int, int]
    langevin_steps: Count = 40
    buffer_size: Count = 5_000  # chains; at least the rows of a batch
    other_data: str | None = None
    features: str | None = None
    trust_features: bool = False
    training_images: Training | None = field(default=None, compare=False)  # no part of any program
    directions: ClassVar[Mapping[str, Direction]] = {"noise_auroc": "higher", "noise_auprc": "higher"}

    def __post_init__(self) -> None:
        """Raises UserError where other data or features do not fit."""
        if self.other_data is not None:
            OtherImages(self.other_data).check(self.image_shape)
        if self._net is not None:
            self._net.check(self.image_shape)

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, as_signed(batch["image"]), train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective: a buffer full of noise."""
        return BOX.uniform(key, (max(self.buffer_size, len(batch["image"])), *self.image_shape))

    def loss(
        self,
        params: Params,
        state: State,
        batch: Batch,
        keys: Keys,
        *,
        step_size: Positive = 10.0,
        noise: Positive = 0.005,
        clip: Positive | None = 0.03,
        restart: Annotated[Number, Between(0, 1)] = 0.05,
        energy_l2: Positive | None = 0.1,
        data_noise: Positive | None = 0.005,
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective. `step_size`, `noise` and `clip` (of each pixel's slope): see langevin.py.

        A chain starts anew from noise with the probability `restart`; images get Gaussian noise of `data_noise`.
        """
        images = as_signed(batch["image"])
        if data_noise is not None:
            images = images + data_noise * jax.random.normal(keys.own(Purpose.NOISE), images.shape)
        for_fresh, for_rows, for_steps = jax.random.split(keys.own(Purpose.SAMPLING), 3)
        rows, start = drawn(state.carry, for_rows, BOX.uniform(for_fresh, images.shape), restart)
        energy = partial(_energy, self.model, jax.lax.stop_gradient(params), state.variables, state.hyper)
        chains = langevin(energy, start, for_steps, self.langevin_steps, Dynamics(step_size, noise, clip), BOX)
        (real, sampled), variables = self._both(params, state, images, chains, keys)
        losses = real - sampled
        if energy_l2 is not None:
            losses = losses + energy_l2 * (real**2 + sampled**2)
        sums = masked_sums(batch, {"loss": losses, "energy": real, "energy_sampled": sampled})
        return sums["loss"], (variables, put_back(state.carry, rows, chains), sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "energy" (batch,)."""
        return {"energy": _energy(self.model, state.params, state.variables, state.hyper, as_signed(batch["image"]))}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. For each image there is one of noise, drawn by its index."""
        energy = partial(_energy, self.model, state.params, state.variables, state.hyper)
        keys = jax.vmap(partial(jax.random.fold_in, key_of(0)))(batch["index"])
        noise = jax.vmap(lambda key: BOX.uniform(key, self.image_shape))(keys)
        outputs = {"index": batch["index"], "energy": energy(as_signed(batch["image"])), "energy_noise": energy(noise)}
        sums = masked_sums(batch, {name: outputs[name] for name in ("energy", "energy_noise")})
        return sums, outputs | ({} if self.features is None else {"image": batch["image"]}), carry

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Objective: those of `directions`, the same against other data, mean energies, the largest size of any."""
        energies = self._energies(state, outputs)
        real = energies.pop("examples")
        metrics = {"energy": float(real.mean())}
        for name, others in energies.items():
            metrics |= {f"energy_{name}": float(others.mean()), **detection(real, others, name)}
        metrics["largest_energy"] = float(max(np.abs(one).max() for one in (real, *energies.values())))
        if self._net is None:
            return metrics
        images, chains = np.asarray(outputs["image"]), self._buffer(state)
        count = min(len(images), len(chains))
        made = np.asarray(as_bytes(chains[:count]))
        return metrics | image_quality(images[:count], made, self._net, self.training_images)

    def sample(
        self,
        state: State,
        seed: int,
        *,
        count: Annotated[int, Between(1, 1_000)] = SHOWN,
        steps: Annotated[int, Between(1, 1_000_000)] = 200,
        frames: Annotated[int, Between(2, 100)] = 12,
        step_size: Annotated[float, Between(0, None)] | None = None,
    ) -> dict[str, Display]:
        """See Task: `count` chains of `steps` Langevin steps from noise, with the training's `step_size` if there is
        none; the first eight of them at `frames` times; and some chains of the buffer as they are. A few more steps are
        taken where the times would not be even.
        """
        trained = Dynamics(*(state.hyper[f"task.{name}"] for name in Dynamics._fields))
        dynamics = trained if step_size is None else trained._replace(step_size=jnp.float32(step_size))
        before = (state.params, state.variables, dict(state.hyper))
        key, shape = Keys(seed, 0).shared(Purpose.SAMPLING), (count, *self.image_shape)
        path = _walk(self.model, *before, key, dynamics, shape, steps, frames)
        pictures, taken = np.asarray(as_bytes(path)), (frames - 1) * steps_between(steps, frames)
        return {
            "samples": Images(pictures[-1], (), f"Samples: {taken} Langevin steps from noise"),
            **nearest_shown(pictures[-1], self._net, self.training_images),
            "chains": strips(pictures[:, :8], "Langevin chains from noise"),
            "buffer": Images(np.asarray(as_bytes(self._buffer(state)[:SHOWN])), (), "Chains of the replay buffer"),
        }

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Task: the images with their energies."""
        captions = tuple(f"energy {energy:.3f}" for energy in np.asarray(outputs["energy"]))
        return {"energies": Images(np.asarray(batch["image"]), captions, "Energies")}

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: energies of examples, chains and other kinds; the images of the lowest and the highest."""
        order = np.argsort(outputs["energy"], kind="stable")
        shown: dict[str, Display] = {
            "energy_histogram": histograms(self._energies(state, outputs), "energy", "Energies")
        }
        for name, rows in (("lowest", order[:SHOWN]), ("highest", order[::-1][:SHOWN])):
            images = np.asarray(examples(outputs["index"][rows])["image"])
            captions = tuple(f"{energy:.3f}" for energy in outputs["energy"][rows])
            shown[f"{name}_energy"] = Images(images, captions, f"{name.capitalize()} energy")
        return shown

    @property
    def _net(self) -> FeatureNet | None:
        return None if self.features is None else FeatureNet(self.features, self.trust_features)

    def _both(self, params: Params, state: State, images: Pixels, chains: Pixels, keys: Keys) -> tuple[Any, Variables]:
        """Energies of images and chains, from one call, so that statistics of a batch are of both."""
        energies, after = self.model.apply(
            {"params": params, **state.variables},
            jnp.concatenate([images, chains]),
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        return (energies[: len(images)], energies[len(images) :]), after

    def _energies(self, state: State, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By kind; of the buffer as many as there are examples."""
        real = np.asarray(outputs["energy"])
        kinds = {"examples": real, "noise": np.asarray(outputs["energy_noise"])}
        kinds["sampled"] = _energies_of(self.model, state, self._buffer(state)[: len(real)])
        if self.other_data is not None:
            other = self._other.astype(np.float32) / 127.5 - 1
            kinds[self.other_data.rsplit(".", 1)[-1]] = _energies_of(self.model, state, other)
        return kinds

    @cached_property
    def _other(self) -> Pictures:
        """The other data set's images, read once."""
        assert self.other_data is not None
        return OtherImages(self.other_data)()

    def _buffer(self, state: State) -> Float[np.ndarray, "chains height width channels"]:
        """All chains; there are several buffers under accumulation."""
        return np.asarray(state.carry).reshape(-1, *self.image_shape)


def _energy(model: Any, params: Params, variables: Variables, hyper: Any, images: Pixels) -> Float[Array, " batch"]:
    """As an evaluation sees it: with running statistics, without dropout."""
    energies: Array = model.apply({"params": params, **variables}, images, train=False, **rates(hyper, "model"))
    return energies


_jitted_energy = jax.jit(_energy, static_argnums=0)


def _energies_of(
    model: Any, state: State, images: Float[np.ndarray, "count height width channels"]
) -> Float[np.ndarray, " count"]:
    found = []
    for start in range(0, len(images), _ROWS):
        part = images[start : start + _ROWS]
        padded = np.pad(part, ((0, min(_ROWS, len(images)) - len(part)), (0, 0), (0, 0), (0, 0)))  # one shape
        energies = _jitted_energy(model, state.params, state.variables, dict(state.hyper), padded)
        found.append(np.asarray(energies)[: len(part)])
    return np.concatenate(found)


@partial(jax.jit, static_argnums=(0, 6, 7, 8))
def _walk(
    model: Any,
    params: Params,
    variables: Variables,
    hyper: Any,
    key: Key[Array, ""],
    dynamics: Dynamics,
    shape: tuple[int, ...],
    steps: int,
    frames: int,
) -> Float[Array, "frames chains height width channels"]:
    for_start, for_steps = jax.random.split(key)
    energy = partial(_energy, model, params, variables, hyper)
    return langevin_path(energy, BOX.uniform(for_start, shape), for_steps, steps, frames, dynamics, BOX)
