"""U-Net with a time input: Ho et al. 2020, "Denoising Diffusion Probabilistic Models",
https://arxiv.org/abs/2006.11239, appendix B; after Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597.

Down through the resolutions by residual blocks, up again by others, which see also what each block on the way down gave
(skip links). The time, as sinusoids and two affine layers, is added to the maps of every residual block.

35,746,307 parameters for the paper's CIFAR-10 network (width 128, multipliers 1 2 2 2, two blocks, attention at 16,
dropout aside; 32x32x3 images, without classes): counted, and equal to the published code's.

Deviations:
- Classes, where `conditional`: a learned vector for each, and one for "no class", is added to that of the time, as in
  Nichol & Dhariwal 2021, https://arxiv.org/abs/2102.09672; "no class" is for guidance, Ho & Salimans 2022,
  https://arxiv.org/abs/2207.12598.
- Sinusoids are in the order of `layers/positions.py`; initial weights are Glorot-uniform as in the paper's code.
- Sides that do not halve evenly are rounded up on the way down and cut on the way up.
"""

from functools import partial
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dlvr_jax.layers.attention import MultiHeadAttention
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.group_norm import GroupNorm
from dlvr_jax.layers.positions import sinusoidal
from dlvr_jax.schema import Between, Count, Number

Maps = Float[Array, "batch height width channels"]
Embedding = Float[Array, "batch embedding"]

ZEROS = nn.initializers.zeros  # the last layer of each residual branch: it begins as the identity
glorot = nn.initializers.xavier_uniform()


class UNet(nn.Module):
    """What a noisy image holds, be it noise, image or velocity: as many maps as the image has channels."""

    num_classes: int | None = None
    conditional: bool = False  # takes labels, 0 .. num_classes - 1, or num_classes for "no class"
    width: Count = 32  # maps at full resolution
    multipliers: tuple[Count, ...] = (1, 2, 2)  # of the width, at each resolution, halved in between
    blocks: Count = 1  # residual blocks a resolution on the way down, one more on the way up
    attention: tuple[Count, ...] = (7,)  # heights at which every block is followed by self-attention
    groups: Count = 8  # of a group norm; of more than one map each, else it would take the time out again
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, statistics and the result are float32

    @nn.compact
    def __call__(
        self,
        images: Maps,
        times: Int[Array, " batch"],
        labels: Int[Array, " batch"] | None = None,
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> Maps:
        """Float32. `dropout` is a rate in [0, 1], which needs the random stream "dropout"."""
        conv = partial(Conv, kernel_size=(3, 3), kernel_init=glorot, dtype=self.dtype)
        dense = partial(Dense, 4 * self.width, kernel_init=glorot, dtype=self.dtype)
        about = dense(name="time1")(sinusoidal(times, self.width))
        about = dense(name="time2")(nn.silu(about))
        if self.conditional:
            about = about + self._class_vector(labels)

        def block(x: Maps, level: int, name: str) -> Float[Array, "batch height width _"]:
            maps = self.width * self.multipliers[level]
            x = ResidualBlock(maps, self.groups, self.dtype, name=name)(x, about, train=train, dropout=dropout)
            return self._attended(x, f"{name}_attention") if x.shape[1] in self.attention else x

        x = conv(self.width, name="stem")(images.astype(self.dtype))
        skips, last = [x], len(self.multipliers) - 1
        for level, times_width in enumerate(self.multipliers):
            for number in range(1, self.blocks + 1):
                x = block(x, level, f"down{level}_{number}")
                skips.append(x)
            if level < last:
                x = conv(self.width * times_width, strides=2, name=f"down{level}")(x)
                skips.append(x)

        middle = partial(ResidualBlock, x.shape[-1], self.groups, self.dtype)
        x = middle(name="middle1")(x, about, train=train, dropout=dropout)
        x = self._attended(x, "middle_attention")
        x = middle(name="middle2")(x, about, train=train, dropout=dropout)

        for level in reversed(range(last + 1)):
            for number in range(1, self.blocks + 2):
                x = block(jnp.concatenate([x, skips.pop()], -1), level, f"up{level}_{number}")
            if level > 0:
                x = conv(x.shape[-1], name=f"up{level}")(_doubled(x, skips[-1]))
        x = nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm")(x))
        # Zeros: the first guess of a standard normal's noise is its mean.
        return conv(images.shape[-1], kernel_init=ZEROS, name="output")(x).astype(jnp.float32)

    def _class_vector(self, labels: Int[Array, " batch"] | None) -> Embedding:
        if self.num_classes is None or labels is None:
            raise ValueError("a conditional U-Net needs the number of classes and labels")
        return nn.Embed(self.num_classes + 1, 4 * self.width, dtype=self.dtype, name="classes")(labels)

    def _attended(self, x: Maps, name: str) -> Maps:
        """Every position looks at all others: one head, on normalised maps, added."""
        batch, height, width, maps = x.shape
        rows = GroupNorm(self.groups, dtype=self.dtype, name=f"{name}_norm")(x).reshape(batch, -1, maps)
        attention = MultiHeadAttention(maps, 1, output_init=ZEROS, dtype=self.dtype, name=name)
        found, _ = attention(rows, attention.keys_values(rows), train=False)
        return computed_once(x + found.reshape(batch, height, width, maps))


class ResidualBlock(nn.Module):
    """Twice group norm, SiLU and a 3x3 convolution, with the time (and class) added in between; and a shortcut."""

    maps: int
    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Maps, about: Embedding, *, train: bool, dropout: Number | None = None
    ) -> Float[Array, "batch height width {self.maps}"]:
        """`about` is the vector of time and class."""
        if self.maps % self.groups or self.maps == self.groups:
            raise ValueError(f"{self.maps} maps are not {self.groups} groups of several")
        norm = partial(GroupNorm, self.groups, dtype=self.dtype)
        conv = partial(Conv, self.maps, (3, 3), dtype=self.dtype)
        y = conv(kernel_init=glorot, name="conv1")(computed_once(nn.silu(norm(name="norm1")(x))))
        y = y + Dense(self.maps, kernel_init=glorot, dtype=self.dtype, name="about")(nn.silu(about))[:, None, None]
        y = computed_once(nn.silu(norm(name="norm2")(y)))
        if train and dropout is not None:
            y = drop(y, dropout, self.make_rng("dropout"))
        y = conv(kernel_init=ZEROS, name="conv2")(y)
        if x.shape[-1] != self.maps:
            x = Dense(self.maps, kernel_init=glorot, dtype=self.dtype, name="shortcut")(x)
        return computed_once(x + y)


def _doubled(
    x: Float[Array, "batch _ _ maps"], like: Float[Array, "batch height width _"]
) -> Float[Array, "batch height width maps"]:
    """Each position twice in both directions, cut to the size of `like`."""
    return x.repeat(2, axis=1).repeat(2, axis=2)[:, : like.shape[1], : like.shape[2]]
