"""The restricted Boltzmann machine: Smolensky 1986; Hinton 2002, "Training Products of Experts by Minimizing
Contrastive Divergence", doi 10.1162/089976602760128018. Advice: Hinton 2012, "A Practical Guide to Training RBMs".

    E(v, h) = -b.v - c.h - v.W h,        v in {0, 1}^visible, h in {0, 1}^hidden,        p(v, h) = exp(-E(v, h)) / Z

No edge joins two visible or two hidden units, so each side is independent given the other, and the hidden side sums
out: p(v) = exp(-F(v)) / Z with the free energy F. visible * hidden + visible + hidden parameters.

Deviation: visible biases start at 0, not at the log odds of the pixels (the guide's section 8), since a model knows no
data when it is made.
"""

import math
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from dlvr_jax.schema import Between

Visible = Float[Array, "batch visible"]
Hidden = Float[Array, "batch hidden"]


class RBM(nn.Module):
    """Binary visible and hidden units; one visible unit for each number of a sample (a pixel)."""

    sample_shape: tuple[int, ...]
    hidden: Annotated[int, Between(1, None)] = 128
    dtype: DTypeLike = jnp.float32  # of the matrix products of Gibbs steps; all that is told of an image is float32

    def setup(self) -> None:
        visible = math.prod(self.sample_shape)
        # Small random weights break the symmetry of the hidden units: section 8 of the guide.
        self.weights = self.param("weights", nn.initializers.normal(0.01), (visible, self.hidden))
        self.visible_bias = self.param("visible_bias", nn.initializers.zeros, (visible,))
        self.hidden_bias = self.param("hidden_bias", nn.initializers.zeros, (self.hidden,))

    def __call__(self, visible: Visible, *, train: bool) -> Float[Array, " batch"]:
        """The free energy F(v) = -b.v - sum_j log(1 + exp(c_j + (v W)_j)), in nats."""
        return -visible @ self.visible_bias - jax.nn.softplus(self.hidden_logits(visible)).sum(-1)

    def hidden_logits(self, visible: Visible, dtype: DTypeLike = jnp.float32) -> Hidden:
        """The log odds of h_j = 1 given v, float32 from a product in `dtype`."""
        return _product(visible, self.weights, dtype) + self.hidden_bias

    def visible_logits(self, hidden: Hidden, dtype: DTypeLike = jnp.float32) -> Visible:
        """The log odds of v_i = 1 given h, float32 from a product in `dtype`."""
        return _product(hidden, self.weights.T, dtype) + self.visible_bias

    def gibbs(self, visible: Visible, key: Key[Array, ""]) -> tuple[Visible, Visible]:
        """One step of block Gibbs sampling, h given v, then v given h: the new v and the probabilities it came from."""
        for_hidden, for_visible = jax.random.split(key)
        hidden = jax.random.bernoulli(for_hidden, jax.nn.sigmoid(self.hidden_logits(visible, self.dtype)))
        probabilities = jax.nn.sigmoid(self.visible_logits(hidden.astype(jnp.float32), self.dtype))
        return jax.random.bernoulli(for_visible, probabilities).astype(jnp.float32), probabilities

    def reconstruction(self, visible: Visible) -> Visible:
        """The log odds of each pixel given the probabilities of the hidden units given v: no sampling."""
        return self.visible_logits(jax.nn.sigmoid(self.hidden_logits(visible)))

    def pseudo_log_likelihood(self, visible: Visible) -> Float[Array, " batch"]:
        """sum_i log p(v_i | all other pixels), in nats, exactly: Besag 1975. No partition function is in it.

        log p(v_i | rest) = log sigmoid(F(v with pixel i flipped) - F(v)), one pixel after the other.
        """
        energy, inputs = self(visible, train=False), self.hidden_logits(visible)
        change = 1 - 2 * visible  # of each pixel when it is flipped

        def one_pixel(total: Array, pixel: tuple[Array, Array, Array]) -> tuple[Array, None]:
            change, weights, bias = pixel
            flipped = jax.nn.softplus(inputs + change[:, None] * weights).sum(-1)
            flipped = -(visible @ self.visible_bias + change * bias) - flipped
            return total + jax.nn.log_sigmoid(flipped - energy), None

        pixels = (change.T, self.weights, self.visible_bias)
        return jax.lax.scan(one_pixel, jnp.zeros_like(energy), pixels)[0]


def _product(
    units: Float[Array, "batch from"], weights: Float[Array, "from to"], dtype: DTypeLike
) -> Float[Array, "batch to"]:
    return (units.astype(dtype) @ weights.astype(dtype)).astype(jnp.float32)
