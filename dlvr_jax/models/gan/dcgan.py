"""DCGAN: Radford, Metz & Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", https://arxiv.org/abs/1511.06434, section 3 and figure 1: strided convolutions only, batch
normalisation but in the generator's last and the discriminator's first layer, ReLU and leaky ReLU, no hidden dense
layers.

Deviations:
- Kernels of 4x4, not 5x5: a multiple of the stride, so that no position of the output gets more summands than its
  neighbours (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard/).
- As many steps of doubling as there are `widths`: two from 7x7 to 28x28, where the paper has four from 4x4 to 64x64.
- Noise is normal, not uniform.
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.convolution import Conv, TransposedConv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.two_players import TwoPlayers
from dlvr_jax.schema import Count

weights_init = nn.initializers.normal(0.02)  # section 4; without a bias before a norm


class DCGAN(TwoPlayers):
    """A convolutional generator and its mirror image. Batch statistics are in the collection "batch_stats"."""

    image_shape: tuple[int, int, int]
    latent: Count = 100
    widths: tuple[Count, ...] = (64, 128)  # maps, from the picture inwards; each halves the picture's sides
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, statistics, images and scores are float32

    def setup(self) -> None:
        self.generator = Generator(self.image_shape, self.widths, self.dtype)
        self.discriminator = Discriminator(self.widths, self.dtype)


class Generator(nn.Module):
    """Noise to images: figure 1 of the paper. Also the generator of other convolutional GANs."""

    image_shape: tuple[int, int, int]
    widths: tuple[int, ...]  # from the picture inwards
    dtype: DTypeLike

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], *, train: bool) -> Float[Array, "batch height width channels"]:
        height, width, channels = self.image_shape
        factor = 2 ** len(self.widths)
        if height % factor or width % factor:
            raise ValueError(
                f"{len(self.widths)} widths halve the sides {len(self.widths)} times: {height}x{width} do not"
            )
        up = partial(TransposedConv, kernel_size=4, stride=2, kernel_init=weights_init, dtype=self.dtype)
        norm = partial(BatchNorm, use_running_average=not train, momentum=0.9, scale_init=around_one, dtype=self.dtype)
        seed = (height // factor, width // factor, self.widths[-1])
        x = Dense(math.prod(seed), use_bias=False, kernel_init=weights_init, dtype=self.dtype, name="project")(z)
        x = computed_once(nn.relu(norm(name="norm0")(x.reshape(-1, *seed))))
        for step, maps in enumerate(reversed(self.widths[:-1]), start=1):
            x = up(maps, use_bias=False, name=f"up{step}")(x)
            x = computed_once(nn.relu(norm(name=f"norm{step}")(x)))
        return nn.tanh(up(channels, name="output")(x).astype(jnp.float32))


class Discriminator(nn.Module):
    """Images to logits: the generator backwards."""

    widths: tuple[int, ...]
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"], *, train: bool) -> Float[Array, " batch"]:
        down = partial(Conv, kernel_size=(4, 4), strides=2, kernel_init=weights_init, dtype=self.dtype)
        norm = partial(BatchNorm, use_running_average=not train, momentum=0.9, scale_init=around_one, dtype=self.dtype)
        x = nn.leaky_relu(down(self.widths[0], name="down1")(images), 0.2)
        for step, maps in enumerate(self.widths[1:], start=2):
            x = down(maps, use_bias=False, name=f"down{step}")(x)
            x = nn.leaky_relu(norm(name=f"norm{step}")(x), 0.2)
        x = x.reshape(len(x), -1)
        # In its kernel's float32 throughout: scores grow, and a critic's difference of two of them is what counts.
        x = Dense(1, use_bias=False, kernel_init=weights_init, name="output")(x)
        return x[:, 0].astype(jnp.float32)


def around_one(key: Key[Array, ""], shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
    """Scales of a norm: 1 with a standard deviation of 0.02, as in the authors' code."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)
