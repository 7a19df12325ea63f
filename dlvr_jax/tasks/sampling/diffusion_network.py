"""What a network that was trained by diffusion takes for the image in noise, and the images that it makes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.metrics.generative import class_agreement
from dlvr_jax.random_key import key_of
from dlvr_jax.schema import Number
from dlvr_jax.tasks.sampling.diffusion_process import Images, Prediction, Process, Times
from dlvr_jax.tasks.sampling.diffusion_sampling import (
    Denoiser,
    Draws,
    Path,
    Route,
    draws,
    first_noise,
    sampled,
    sampled_path,
)
from dlvr_jax.tasks.shown.generated import as_bytes
from dlvr_jax.tasks.task import State, rates

Bytes = UInt8[Array, "batch height width channels"]
COMPARED = 1_000  # images at each guidance whose class is looked at

Labels = Int[Array, " batch"] | None


@dataclass(frozen=True)
class Network:
    """A model and what it was taught to say.

    It is called with noisy images, times (1 .. process.steps) and labels (None where it is not conditional).
    """

    model: Any
    process: Process
    prediction: Prediction
    num_classes: int | None

    @property
    def conditional(self) -> bool:
        """Whether the model takes labels."""
        return bool(getattr(self.model, "conditional", False))

    def labels(self, given: Labels) -> Labels:
        """These, or None for a model that takes none."""
        return given if self.conditional else None

    def no_class(self, count: int) -> Labels:
        """The label that says nothing, for each."""
        if not self.conditional:
            return None
        assert self.num_classes is not None
        return jnp.full(count, self.num_classes, jnp.int32)

    def hidden(self, state: State, given: Labels, count: int) -> Labels:
        """The label that says nothing, or these where training never hid any, so that nothing is known of that one."""
        nothing, rate = self.no_class(count), state.hyper["task.label_dropout"]
        if nothing is None or given is None:
            return nothing
        return given if rate is None else jnp.where(rate > 0, nothing, given)

    def asked(self, count: int, label: int | None) -> Labels:
        """This label for each, or all of them in turn; None for a model that takes none.

        Raises:
            UserError: there is no such label.
        """
        classes = (self.num_classes or 0) if self.conditional else 0
        if label is not None and label >= classes:
            raise UserError(f"label = {label}: the model knows {classes} classes")
        if not self.conditional:
            return None
        return jnp.arange(count) % classes if label is None else jnp.full(count, label)

    def guided(self, state: State, guidance: float) -> float | None:
        """The guidance, None for 1.

        Raises:
            UserError: the model has not learned what guidance asks of it.
        """
        if guidance == 1:
            return None
        rate = state.hyper["task.label_dropout"]
        known = not isinstance(rate, jax.core.Tracer)  # outside of a program
        untaught = rate is None or (known and float(rate) == 0)
        if not self.conditional or untaught:
            raise UserError(f"guidance = {guidance:g}: only for a conditional model, trained with task.label_dropout")
        return guidance

    def said(self, state: State, x: Images, times: Times, labels: Labels) -> Images:
        """By the model as it is used, not trained."""
        said: Images = self.model.apply(
            {"params": state.params, **state.variables}, x, times, labels, train=False, **rates(state.hyper, "model")
        )
        return said

    def image(self, said: Images, x: Images, times: Times) -> Images:
        """The image that follows from what was said, in [-1, 1]: Ho et al. 2020, released code, clips it too."""
        return jnp.clip(self.process.image(self.prediction, said, x, times), -1, 1)

    def denoiser(self, state: State, labels: Labels, guidance: Number | None = None) -> Denoiser:
        """With guidance w the model is asked twice: what is said without the class, plus w times what the class adds.

        So 1, like None, is the model as it is, and 0 the one without classes. Ho and Salimans 2022,
        https://arxiv.org/abs/2207.12598, equation 6, count from 0: their w is one less.
        """

        def plain(x: Images, times: Times) -> Images:
            return self.image(self.said(state, x, times, labels), x, times)

        def guided(x: Images, times: Times) -> Images:
            assert labels is not None and guidance is not None and self.num_classes is not None
            both = jnp.concatenate([labels, jnp.full_like(labels, self.num_classes)])
            said = self.said(state, jnp.tile(x, (2, 1, 1, 1)), jnp.tile(times, 2), both)
            with_class, without = jnp.split(said, 2)
            return self.image(without + guidance * (with_class - without), x, times)

        return plain if guidance is None else guided


@partial(jax.jit, static_argnums=(0, 1))
def generated(
    network: Network, route: Route, state: State, x: Images, keys: Draws, labels: Labels, guidance: Number | None
) -> Bytes:
    """The images at the end of the route that begins in noise `x`."""
    return as_bytes(sampled(route, network.denoiser(state, labels, guidance), x, keys))


@partial(jax.jit, static_argnums=(0, 1, 2))
def generated_path(
    network: Network,
    route: Route,
    first: int,
    state: State,
    x: Images,
    keys: Draws,
    labels: Labels,
    guidance: Number | None,
) -> tuple[Bytes, Path, Path]:
    """The images at the end of the route, and the way of the `first` of them.

    That is x after each step, and what was taken for the image before it.
    """
    images, path, guesses = sampled_path(route, network.denoiser(state, labels, guidance), x, keys, first)
    return as_bytes(images), path, guesses


def agreements(
    network: Network, state: State, image_shape: tuple[int, ...], guidances: tuple[float, ...], net: FeatureNet
) -> dict[str, float]:
    """For each guidance the share of images that are of the class that was asked for, all out of the same noise."""
    keys, labels = draws(key_of(2), jnp.arange(COMPARED)), network.asked(COMPARED, None)
    route, x, shares = Route.of(network.process), first_noise(keys, image_shape), {}
    for guidance in guidances:
        images = generated(network, route, state, x, keys, labels, network.guided(state, guidance))
        found = net(np.asarray(images)).probabilities
        shares[f"class_agreement/guidance_{guidance:g}"] = class_agreement(found, np.asarray(labels))
    return shares
