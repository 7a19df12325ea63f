"""The first GAN: Goodfellow et al. 2014, "Generative Adversarial Nets", https://arxiv.org/abs/1406.2661, section 5: two
multilayer perceptrons.

1,093,136 parameters at the default widths on 28x28x1: 559,632 of the generator, 533,504 of the discriminator.

Deviations:
- The discriminator has leaky ReLUs and no dropout, where the paper's has maxout units and dropout.
- The generator ends in tanh on images, which the task scales to [-1, 1], and in nothing on points.
- Noise is normal, not uniform.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.two_players import TwoPlayers
from dlvr_jax.schema import Count


class MLPGAN(TwoPlayers):
    """A perceptron that makes examples, and one that looks at them."""

    sample_shape: tuple[int, ...]
    latent: Count = 100
    generator_widths: tuple[Count, ...] = (256, 512)  # of hidden layers
    discriminator_widths: tuple[Count, ...] = (512, 256)
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, examples and scores are float32

    def setup(self) -> None:
        self.generator = Generator(self.sample_shape, self.generator_widths, self.dtype)
        self.discriminator = Discriminator(self.discriminator_widths, self.dtype)


class Generator(nn.Module):
    """Noise to examples."""

    shape: tuple[int, ...]
    widths: tuple[int, ...]
    dtype: DTypeLike

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], *, train: bool) -> Float[Array, "batch *shape"]:
        x = z
        for layer, width in enumerate(self.widths, start=1):
            # ReLU zeroes half of the signal, twice the variance makes up for it: He et al. 2015.
            dense = Dense(width, kernel_init=nn.initializers.he_normal(), dtype=self.dtype, name=f"hidden{layer}")
            x = nn.relu(dense(x))
        size = math.prod(self.shape)
        x = Dense(size, kernel_init=nn.initializers.lecun_normal(), dtype=self.dtype, name="output")(x)
        x = x.reshape(-1, *self.shape).astype(jnp.float32)
        return nn.tanh(x) if len(self.shape) == 3 else x


class Discriminator(nn.Module):
    """Examples to scores."""

    widths: tuple[int, ...]
    dtype: DTypeLike

    @nn.compact
    def __call__(self, examples: Float[Array, "batch *shape"], *, train: bool) -> Float[Array, " batch"]:
        x = examples.reshape(len(examples), -1)
        for layer, width in enumerate(self.widths, start=1):
            dense = Dense(width, kernel_init=nn.initializers.he_normal(), dtype=self.dtype, name=f"hidden{layer}")
            x = nn.leaky_relu(dense(x), 0.2)
        # No bias: a critic's loss does not change if all of its scores do.
        # In its kernel's float32 throughout: scores grow, and a critic's difference of two of them is what counts.
        x = Dense(1, use_bias=False, kernel_init=nn.initializers.lecun_normal(), name="output")(x)
        return x[:, 0].astype(jnp.float32)
