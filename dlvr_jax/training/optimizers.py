"""Directions of descent out of optax's parts, and the chain around them.

An optimiser here is a function from `decay` (what decoupled weight decay adds to the update) and its hyper to a
gradient transformation *without* learning rate. It places `decay` where its paper does. All numbers may be traced.
"""

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from dlvr_jax.global_norm import global_norm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.schema import Between, Bound, Number
from dlvr_jax.tasks.task import Hyper, Params, rates

Decay = Annotated[Number, Between(0, 1)]
Positive = Annotated[Number, Between(0, None)]


@dataclass(frozen=True)
class OptimizerSection:
    """`config.optimizer` without the arguments of the optimiser and the schedule that it names.

    `weight_decay` is decoupled (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101: times the learning rate,
    outside the moments); `l2` adds to the gradient. Both spare biases and norms: parameters of fewer than two axes.
    """

    learning_rate: Positive
    name: str = "adam"
    weight_decay: Positive | None = None
    l2: Positive | None = None
    # Of the global gradient norm: Pascanu et al. 2013; 0 would let nothing through.
    clip_norm: Annotated[Number, Between(1e-6, None)] | None = None
    schedule: str = "constant"


def sgd(
    decay: optax.GradientTransformation, *, momentum: Decay | None = None, nesterov: bool = False
) -> optax.GradientTransformation:
    """Stochastic gradient descent, with Polyak's or Nesterov's momentum (Sutskever et al. 2013)."""
    direction = optax.identity() if momentum is None else optax.trace(momentum, nesterov)
    return optax.chain(direction, decay)


def adam(
    decay: optax.GradientTransformation, *, b1: Decay = 0.9, b2: Decay = 0.999, eps: Positive = 1e-8
) -> optax.GradientTransformation:
    """Kingma and Ba 2015, https://arxiv.org/abs/1412.6980; `weight_decay` makes it AdamW, `l2` does not."""
    return optax.chain(optax.scale_by_adam(b1, b2, eps), decay)


def adamw(
    decay: optax.GradientTransformation, *, b1: Decay = 0.9, b2: Decay = 0.999, eps: Positive = 1e-8
) -> optax.GradientTransformation:
    """Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101: `adam`, by its name with `weight_decay`."""
    return adam(decay, b1=b1, b2=b2, eps=eps)


def lion(decay: optax.GradientTransformation, *, b1: Decay = 0.9, b2: Decay = 0.99) -> optax.GradientTransformation:
    """Chen et al. 2023, https://arxiv.org/abs/2302.06675."""
    return optax.chain(optax.scale_by_lion(b1, b2), decay)


def lamb(
    decay: optax.GradientTransformation, *, b1: Decay = 0.9, b2: Decay = 0.999, eps: Positive = 1e-6
) -> optax.GradientTransformation:
    """You et al. 2020, https://arxiv.org/abs/1904.00962: the trust ratio comes after the decay."""
    return optax.chain(optax.scale_by_adam(b1, b2, eps), decay, optax.scale_by_trust_ratio())


def rmsprop(
    decay: optax.GradientTransformation, *, rho: Decay = 0.9, eps: Positive = 1e-8, momentum: Decay | None = None
) -> optax.GradientTransformation:
    """Tieleman and Hinton 2012, lecture 6e."""
    direction = optax.scale_by_rms(rho, eps)
    return optax.chain(direction, decay) if momentum is None else optax.chain(direction, optax.trace(momentum), decay)


def adafactor(decay: optax.GradientTransformation, *, decay_rate: Decay = 0.8) -> optax.GradientTransformation:
    """Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235: factored moments, clipped updates, relative steps."""
    return optax.chain(
        optax.scale_by_factored_rms(decay_rate=decay_rate),
        optax.clip_by_block_rms(1.0),
        optax.scale_by_param_block_rms(),
        decay,
    )


@dataclass(frozen=True)
class Chain:
    """Clip, L2, direction, decay, learning rate: built from hyper inside the step, equal by value."""

    direction: Bound
    schedule: Bound
    total: int  # updates of the run
    own: frozenset[str]  # names of the direction's own hyper

    def __call__(self, hyper: Hyper) -> optax.GradientTransformation:
        """See `tasks.from_loss.Optimizer`."""
        numbers = rates(hyper, "optimizer")
        clip, l2, weight_decay = numbers["clip_norm"], numbers["l2"], numbers["weight_decay"]
        decay = optax.identity() if weight_decay is None else optax.add_decayed_weights(weight_decay, _matrices)
        return optax.chain(
            optax.identity() if clip is None else _clip(clip),
            optax.identity() if l2 is None else optax.add_decayed_weights(l2, _matrices),
            self.direction(decay, **{name: numbers[name] for name in sorted(self.own)}),
            optax.scale_by_schedule(lambda count: -self.learning_rate(hyper, count)),
        )

    def learning_rate(self, hyper: Hyper, step: ArrayLike) -> Float[Array, ""]:
        """See `tasks.from_loss.Optimizer`."""
        return computed_once(hyper["optimizer.learning_rate"] * self.schedule(self.total)(step))


def _matrices(params: Params) -> Params:
    """What decay acts on: kernels and embeddings, not biases and norms."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _clip(longest: Number) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm`, by the norm that is logged, and by one factor for all parameters."""

    def clipped(updates: Params, params: Params | None) -> Params:
        norm = global_norm(updates)
        factor = computed_once(jnp.where(norm < longest, 1.0, longest / norm))
        return jax.tree.map(lambda update: factor * update, updates)

    return optax.stateless(clipped)
