"""EfficientNet: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
https://arxiv.org/abs/1905.11946, table 1 and section 3.3.

B0 has 5,288,548 parameters at 1,000 classes and three channels. B1 to B7 are `width_multiplier`, `depth_multiplier` and
the picture's side: (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 300), (1.4, 1.8, 380), (1.6, 2.2, 456),
(1.8, 2.6, 528), (2.0, 3.1, 600), in the authors' code, from which are also the initialisation, the rounding, the norms
and how the rate of stochastic depth grows: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet.

Deviations:
- Zeros pad k // 2 on each side; TensorFlow's "SAME" pads less on the left where the stride is 2.
- `stem_stride=1` is for pictures so small that 32 times fewer places would be one or none.
"""

import math
from functools import partial
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.depthwise import DepthwiseConv
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.image_attention import SqueezeExcite
from dlvr_jax.layers.stochastic_depth import stochastic_depth as drop_branch
from dlvr_jax.schema import Between, Count, Number

STEM, HEAD = 32, 1280  # maps of the first and the last convolution
FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
Rate = Annotated[Number | None, Between(0, 1)]


class EfficientNet(nn.Module):
    """A stem, stages of inverted bottlenecks, a head; the default is B0. The columns of table 1 are fields."""

    num_classes: int
    width_multiplier: float = 1.0  # of every number of maps
    depth_multiplier: float = 1.0  # of every number of blocks
    maps: tuple[Count, ...] = (16, 24, 40, 80, 112, 192, 320)  # of each stage
    repeats: tuple[Count, ...] = (1, 2, 2, 3, 3, 4, 1)
    kernels: tuple[Count, ...] = (3, 3, 5, 3, 5, 5, 3)
    strides: tuple[Count, ...] = (1, 2, 2, 2, 1, 2, 1)
    expansions: tuple[Count, ...] = (1, 6, 6, 6, 6, 6, 6)
    stem_stride: Count = 2
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, batch statistics and logits are float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        *,
        train: bool,
        dropout: Rate = None,
        stochastic_depth: Rate = None,
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images.

        When `train`, batch statistics are used, and updated in the collection "batch_stats". `dropout`, before the last
        layer, and `stochastic_depth`, which grows from 0 at the first block towards this, are rates in [0, 1] that need
        the random stream "dropout". The mean over places is sown as "features" into "intermediates".
        """
        norm = batch_norm(train, self.dtype)
        scaled = partial(scaled_maps, multiplier=self.width_multiplier)
        stem = Conv(
            scaled(STEM),
            (3, 3),
            self.stem_stride,
            1,
            use_bias=False,
            kernel_init=FAN_OUT,
            dtype=self.dtype,
            name="stem",
        )
        x = nn.swish(norm(name="stem_norm")(stem(images)))
        blocks = self._blocks()
        for number, (name, maps, kernel, stride, expansion) in enumerate(blocks):
            rate = None if stochastic_depth is None else stochastic_depth * (number / len(blocks))
            x = MBConv(scaled(maps), kernel, stride, expansion, self.dtype, name=name)(x, train=train, rate=rate)
        x = Dense(scaled(HEAD), use_bias=False, kernel_init=FAN_OUT, dtype=self.dtype, name="head")(x)
        features = nn.swish(norm(name="head_norm")(x)).astype(jnp.float32).mean((1, 2))
        self.sow("intermediates", "features", features)
        if train and dropout is not None:
            features = drop(features, dropout, self.make_rng("dropout"))
        return Dense(self.num_classes, kernel_init=nn.initializers.lecun_normal(), name="output")(features)

    def _blocks(self) -> list[tuple[str, int, int, int, int]]:
        """Name, maps, kernel, stride and expansion of each block; only the first of a stage has its stride."""
        columns = {name: getattr(self, name) for name in ("maps", "repeats", "kernels", "strides", "expansions")}
        if len({len(column) for column in columns.values()}) > 1:
            lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
            raise ValueError(f"every column needs a number for each stage; there are {lengths}")
        return [
            (f"block{stage}_{place}", maps, kernel, stride if place == 1 else 1, expansion)
            for stage, (maps, repeats, kernel, stride, expansion) in enumerate(zip(*columns.values(), strict=True), 1)
            for place in range(1, math.ceil(self.depth_multiplier * repeats) + 1)
        ]


class MBConv(nn.Module):
    """Inverted bottleneck: 1x1 to more maps, depthwise, squeeze and excite, 1x1 back, and a shortcut if shapes allow.

    Sandler et al. 2018, "MobileNetV2", https://arxiv.org/abs/1801.04381, figure 3b.
    """

    features: int
    kernel: int
    stride: int
    expansion: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool, rate: Number | None = None
    ) -> Float[Array, "batch _ _ {self.features}"]:
        """`rate` is the probability to leave the branch away for an example, when `train`."""
        norm, channels = batch_norm(train, self.dtype), x.shape[-1]
        conv = partial(Dense, use_bias=False, kernel_init=FAN_OUT, dtype=self.dtype)  # 1x1
        y = x
        if self.expansion > 1:
            y = nn.swish(norm(name="expand_norm")(conv(self.expansion * channels, name="expand")(y)))
        y = DepthwiseConv(self.kernel, self.stride, dtype=self.dtype, name="depthwise")(y)
        y = nn.swish(norm(name="depthwise_norm")(y))
        y = SqueezeExcite(max(1, channels // 4), nn.swish, self.dtype, name="squeeze_excite")(y)
        y = norm(name="project_norm")(conv(self.features, name="project")(y))  # no activation: section 3.2 there
        if x.shape != y.shape:
            return y
        if train and rate is not None:
            y = drop_branch(y, rate, self.make_rng("dropout"))
        return x.astype(y.dtype) + y


def batch_norm(train: bool, dtype: DTypeLike) -> partial[BatchNorm]:
    """With the authors' numbers."""
    return partial(BatchNorm, use_running_average=not train, momentum=0.99, epsilon=1e-3, dtype=dtype)


def scaled_maps(maps: int, multiplier: float) -> int:
    """The multiple of 8 nearest to maps x multiplier, at least 8 and not under nine tenths of it."""
    wanted = maps * multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded
