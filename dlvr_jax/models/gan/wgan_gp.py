"""A critic for the gradient penalty: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs",
https://arxiv.org/abs/1704.00028, section 4: no batch normalisation in it, since the penalty is on each example's own
gradient; layer normalisation takes its place. The generator is DCGAN's.

Deviations:
- As many steps of halving as there are `widths`, as in `dcgan.py`; the paper's networks for larger pictures are
  residual.
- Kernels start as in He et al. 2015, for the critic must be free to grow; DCGAN's 0.02 holds its gradient near zero.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.two_players import TwoPlayers
from dlvr_jax.models.gan.dcgan import Generator
from dlvr_jax.schema import Count


class WGANGP(TwoPlayers):
    """DCGAN's generator and a critic with layer normalisation."""

    image_shape: tuple[int, int, int]
    latent: Count = 100
    widths: tuple[Count, ...] = (64, 128)  # maps, from the picture inwards; each halves the picture's sides
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, statistics, images and scores are float32

    def setup(self) -> None:
        self.generator = Generator(self.image_shape, self.widths, self.dtype)
        self.discriminator = Critic(self.widths, self.dtype)


class Critic(nn.Module):
    """Images to scores; no example sees another."""

    widths: tuple[int, ...]
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"], *, train: bool) -> Float[Array, " batch"]:
        down = partial(Conv, kernel_size=(4, 4), strides=2, kernel_init=nn.initializers.he_normal(), dtype=self.dtype)
        # Over all places and maps of an example, with one scale a map.
        norm = partial(nn.LayerNorm, reduction_axes=(-3, -2, -1), feature_axes=-1, dtype=self.dtype)
        x = nn.leaky_relu(down(self.widths[0], name="down1")(images), 0.2)
        for step, maps in enumerate(self.widths[1:], start=2):
            x = nn.leaky_relu(norm(name=f"norm{step}")(down(maps, name=f"down{step}")(x)), 0.2)
        x = x.reshape(len(x), -1)
        # No bias: the loss does not change if all scores do.
        # In its kernel's float32 throughout: scores grow, and a critic's difference of two of them is what counts.
        x = Dense(1, use_bias=False, kernel_init=nn.initializers.lecun_normal(), name="output")(x)
        return x[:, 0].astype(jnp.float32)
