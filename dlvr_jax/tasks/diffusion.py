"""Denoising diffusion: noise is added to images in small steps, and a network learns to take it out again.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models", https://arxiv.org/abs/2006.11239: the loss is the mean
square error of what is said of x_t (its noise, by default) at a time drawn for each image, algorithm 1 and equation 14.
Conditional models learn to do without the class too, for guidance: Ho & Salimans 2022,
https://arxiv.org/abs/2207.12598.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from dlvr_jax.displays import Display
from dlvr_jax.displays import Images as Shown
from dlvr_jax.errors import UserError
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.metrics.generative import class_agreement
from dlvr_jax.random_key import key_of
from dlvr_jax.schema import Between, Number
from dlvr_jax.tasks.diffusion_bound import evenly_spread, last_term, prior_term, step_term
from dlvr_jax.tasks.image_quality import DIRECTIONS, Training, image_quality, nearest_shown, quality_table
from dlvr_jax.tasks.sampling.diffusion_network import Labels, Network, agreements, generated_path
from dlvr_jax.tasks.sampling.diffusion_process import Images, Prediction, Process, Times
from dlvr_jax.tasks.sampling.diffusion_sampling import Draws, Route, draws, first_noise, sampled
from dlvr_jax.tasks.shown import diffusion as pictures
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

STRIP = 8  # images whose way is shown


@dataclass(frozen=True)
class Diffusion:
    """p(image), or p(image | label) where the model is conditional. Images are in [-1, 1]; losses are per dimension.

    What the model is called with: see Network; what guidance says: see `Network.denoiser`.
    """

    model: Any
    image_shape: tuple[int, ...]
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    timesteps: Annotated[int, Between(2, 100_000)] = 1000
    schedule: str = "linear"  # in layers/noise_schedules.py, or a function of one's own by its dotted path
    prediction: Prediction = "eps"
    features: str | None = None  # file of a feature network: evaluation then makes as many images as the split has
    trust_features: bool = False  # also of a weak one, or of few images
    guidance: Annotated[float, Between(0, None)] = 1.0  # of those images, and of samples by default
    compared: tuple[float, ...] = ()  # guidances whose class agreement is told too, on fewer images
    training_images: Training | None = field(default=None, compare=False)  # no part of any program

    def __post_init__(self) -> None:
        if self._net is not None:
            self._net.check(self.image_shape)
        if not self.network.conditional and (self.guidance != 1 or self.compared):
            raise UserError("task.guidance, task.compared: guidance needs a model with model.conditional")

    @property
    def network(self) -> Network:
        """The model and what it is taught to say."""
        return Network(self.model, Process(self.schedule, self.timesteps), self.prediction, self.num_classes)

    @property
    def directions(self) -> Mapping[str, Direction]:
        """See Objective."""
        known: dict[str, Direction] = {"loss": "lower", "bits_per_dimension": "lower"}
        return known if self.features is None else {**DIRECTIONS, **known}

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        x0 = as_signed(batch["image"])
        times, labels = jnp.ones(len(x0), jnp.int32), self.network.labels(batch.get("label"))
        variables = dict(self.model.init({"params": key}, x0, times, labels, train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective."""
        return None

    def loss(
        self,
        params: Params,
        state: State,
        batch: Batch,
        keys: Keys,
        *,
        label_dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective. Noise, time and which label is hidden are drawn for each example, by its index and the step.

        `label_dropout` is the rate at which labels become "no class".
        """
        process, x0 = self.network.process, as_signed(batch["image"])
        own = draws(keys.shared(Purpose.NOISE), batch["index"])
        times = jax.vmap(lambda key: jax.random.randint(jax.random.fold_in(key, 0), (), 1, self.timesteps + 1))(own)
        eps = self._noise(own, 1)
        said, after = self.model.apply(
            {"params": params, **state.variables},
            process.noised(x0, eps, times),
            times,
            self._some_hidden(batch, label_dropout, own),
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        sums = masked_sums(batch, {"loss": _square_error(said, process.target(self.prediction, x0, eps, times))})
        return sums["loss"], (after, state.carry, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: the image "noised", all with the same noise, and "denoised" in one step, as bytes.

        Labels are not looked at, but where the model was never taught to do without.
        """
        x0, network = as_signed(batch["image"]), self.network
        times = jnp.full(len(x0), self._middle, jnp.int32)
        x = network.process.noised(x0, jnp.broadcast_to(jax.random.normal(key_of(0), x0.shape[1:]), x0.shape), times)
        return {
            "noised": as_bytes(x),
            "denoised": as_bytes(network.denoiser(state, network.hidden(state, batch.get("label"), len(x)))(x, times)),
        }

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Task."""
        return {"denoised": pictures.denoised(np.asarray(batch["image"]), outputs, self._middle)}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective. Each image is looked at at time 1 and at one other, of which each comes up as often.

        So loss and bound are without bias. Noise and time belong to the example's index.
        """
        for guidance in (self.guidance, *self.compared):
            self.network.guided(state, guidance)  # without label_dropout refused before training, not after it
        x0, labels = as_signed(batch["image"]), self.network.labels(batch.get("label"))
        own, ones = draws(key_of(0), batch["index"]), jnp.ones(len(x0), jnp.int32)
        times, others = 2 + evenly_spread(batch["index"], self.timesteps - 1), self.timesteps - 1
        looked_at = jax.jit(partial(self._looked_at, state, x0, labels))  # so that both calls are traced once
        first_loss, first_guess = looked_at(self._noise(own, 1), ones)
        loss, guess = looked_at(self._noise(own, 2), times)
        process = self.network.process
        nats = {
            "prior": prior_term(process, x0),
            "steps": others * step_term(process, x0, guess, times),
            "last": last_term(process, x0, first_guess),
        }
        values = {
            "loss": (first_loss + others * loss) / self.timesteps,
            "bits_per_dimension": sum(nats.values()) / np.log(2),
            **{f"bits_{name}": term / np.log(2) for name, term in nats.items()},
        }
        outputs = {"time": times, "loss": loss} | self._judged(state, batch, labels)
        return masked_sums(batch, values), outputs, carry

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See Objective: the loss, the bound and its three parts; with a feature network, image quality and whether
        the classes are those that were asked for.
        """
        metrics = {name: float(total / count) for name, (total, count) in sums.items()}
        if self._net is None:
            return metrics
        metrics |= image_quality(outputs["image"], outputs["generated"], self._net, self.training_images)
        if not self.network.conditional:
            return metrics
        found = class_agreement(self._net(outputs["generated"]).probabilities, outputs["label"])
        compared = agreements(self.network, state, self.image_shape, self.compared, self._net)
        return metrics | {"class_agreement": found} | compared

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: how noise comes, its schedule, the loss over time; image quality."""
        process, images = self.network.process, np.asarray(examples(outputs["index"][:STRIP])["image"])
        shown: dict[str, Display] = {
            "noising": pictures.noising(process, images),
            "schedule": pictures.signal_to_noise(process),
            "loss_over_time": pictures.loss_over_time(outputs["time"], outputs["loss"], self.timesteps),
        }
        if self._net is not None:
            figures = image_quality(outputs["image"], outputs["generated"], self._net, self.training_images)
            shown["quality"] = quality_table(figures, self._net)
        return shown

    def sample(
        self,
        state: State,
        seed: int,
        *,
        count: Annotated[int, Between(1, 10_000)] = 50,
        sampler: Literal["ddim", "ancestral"] = "ddim",
        steps: Annotated[int | None, Between(1, 1_000_000)] = None,
        eta: Annotated[float, Between(0, 1)] = 0.0,
        guidance: Annotated[float | None, Between(0, None)] = None,
        label: Annotated[int | None, Between(0, None)] = None,
    ) -> dict[str, Display]:
        """See Task: `count` images, and the way of the first ones out of noise.

        `steps` are 50 for ddim and all for ancestral sampling by default; `eta` is ddim's. Without a `label` the
        classes take turns.
        """
        route, labels = Route.of(self.network.process, sampler, steps, eta), self.network.asked(count, label)
        keys = draws(Keys(seed, 0).shared(Purpose.SAMPLING), jnp.arange(count))
        strength = self.network.guided(state, self.guidance if guidance is None else guidance)
        arguments = first_noise(keys, self.image_shape), keys, labels
        made, path, guesses = generated_path(self.network, route, STRIP, state, *arguments, strength)
        images = np.asarray(made)
        captions = () if labels is None else tuple(self._name(label) for label in np.asarray(labels).tolist())
        return {
            "samples": Shown(images, captions, "Samples"),
            **nearest_shown(images, self._net, self.training_images),
            "denoising": pictures.denoising(np.asarray(path), np.asarray(guesses), route.times),
        }

    def _name(self, label: int) -> str:
        return self.class_names[label] if self.class_names else str(label)

    @property
    def _middle(self) -> int:
        """A time at which much of an image is gone, and more can be guessed."""
        return max(self.timesteps // 4, 1)

    @property
    def _net(self) -> FeatureNet | None:
        return None if self.features is None else FeatureNet(self.features, self.trust_features)

    def _noise(self, own: Draws, number: int) -> Images:
        return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, number), self.image_shape))(own)

    def _some_hidden(self, batch: Batch, rate: Number | None, own: Draws) -> Labels:
        labels = self.network.labels(batch.get("label"))
        if rate is None:
            return labels
        if labels is None:
            raise UserError("task.label_dropout: the model takes no labels; set model.conditional, or leave it none")
        hidden = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, 2), rate))(own)
        return jnp.where(hidden, self.num_classes or 0, labels)

    def _looked_at(
        self, state: State, x0: Images, labels: Labels, eps: Images, times: Times
    ) -> tuple[Float[Array, " batch"], Images]:
        """The loss of each image, and what it is taken for."""
        network = self.network
        x = network.process.noised(x0, eps, times)
        said = network.said(state, x, times, labels)
        losses = _square_error(said, network.process.target(self.prediction, x0, eps, times))
        return losses, network.image(said, x, times)

    def _judged(self, state: State, batch: Batch, labels: Labels) -> Outputs:
        """Beside each image one that was made, of the same class; nothing without a feature network."""
        if self.features is None:
            return {}
        keys = draws(key_of(1), batch["index"])
        denoise = self.network.denoiser(state, labels, self.network.guided(state, self.guidance))
        images = sampled(Route.of(self.network.process), denoise, first_noise(keys, self.image_shape), keys)
        outputs = {"image": batch["image"], "generated": as_bytes(images)}
        return outputs if labels is None else outputs | {"label": labels}


def _square_error(a: Images, b: Images) -> Float[Array, " batch"]:
    return ((a - b) ** 2).mean((1, 2, 3))
