"""LeNet-5: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document Recognition",
http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf, section II.B and figure 2.

The paper counts 60,000 trainable parameters. Both layouts here have 61,706 (32x32x1 in, 10 classes out):
C1 156, C3 2,416, C5 48,120, F6 10,164, output 850.

Deviations of the layout "1998":
- C3 sees all six maps of S2. The paper connects each C3 map to three, four or six of them (table I: 1,516 parameters).
- Subsampling is a plain 2x2 average. The paper adds a trainable coefficient and bias for each map, and a squashing.
- The output is an affine layer that gives logits for cross-entropy, not Euclidean radial basis functions.
- Weights have the variance 1 / fan-in (see `_initializer`), not the paper's uniform range of +-2.4 / fan-in.

The layout "modern" puts ReLU for the scaled tanh and max-pooling for the average; `pooling` names another kind.
Dropout, absent from the paper, acts in both on what C5 and F6 give out.
"""

from typing import Annotated, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.pooling import Pool, Pooling
from dlvr_jax.schema import Between, Count, Number

PAPER_SIDE = 32  # of the input, in pixels


class LeNet5(nn.Module):
    """The seven layers of figure 2, images to logits."""

    num_classes: int
    layout: Literal["1998", "modern"] = "modern"
    widths: tuple[Count, Count, Count, Count] = (6, 16, 120, 84)  # maps of C1 and C3, units of C5 and F6
    pooling: Pooling | None = None  # None: the layout's own
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and logits are float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images.

        Images smaller than 32x32 get a border of zeros (the mean grey of standardised pixels), which makes 28x28 the
        paper's 32x32. `dropout` is a rate in [0, 1], used when `train`; it needs the random stream "dropout".
        """
        squash = scaled_tanh if self.layout == "1998" else nn.relu
        pooling = self.pooling or ("average" if self.layout == "1998" else "max")
        c1, c3, c5, f6 = self.widths
        initial = _initializer(self.layout)

        def convolve(x: Array, maps: int, name: str, padding: list[tuple[int, int]] | str = "VALID") -> Array:
            convolution = Conv(maps, (5, 5), padding=padding, kernel_init=initial, dtype=self.dtype, name=name)
            return squash(convolution(x))

        def connect(x: Array, units: int, name: str) -> Array:
            x = squash(Dense(units, kernel_init=initial, dtype=self.dtype, name=name)(x))
            return drop(x, dropout, self.make_rng("dropout")) if train and dropout is not None else x

        x = convolve(images, c1, "c1", padding=[_border(side) for side in images.shape[1:3]])  # 28x28
        x = Pool(pooling, self.dtype, name="s2")(x, train=train)  # 14x14
        x = convolve(x, c3, "c3")  # 10x10
        x = Pool(pooling, self.dtype, name="s4")(x, train=train)  # 5x5
        x = x.reshape(x.shape[0], -1)
        x = connect(x, c5, "c5")  # a 5x5 convolution of a 5x5 map: the same thing
        x = connect(x, f6, "f6")
        return Dense(self.num_classes, kernel_init=_initializer("1998"), name="output")(x.astype(jnp.float32))


def scaled_tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1.7159 tanh(2x / 3): the paper's squashing function (appendix A), with f(1) = 1 and f(-1) = -1."""
    return 1.7159 * jnp.tanh(x * (2 / 3))


def _border(side: int) -> tuple[int, int]:
    """Zeros before and after a side that is shorter than the paper's."""
    missing = max(0, PAPER_SIDE - side)
    return missing // 2, missing - missing // 2


def _initializer(layout: str) -> Initializer:
    """Variances that keep the scale of the signal from layer to layer.

    1 / fan-in for the scaled tanh, which is made for inputs and outputs of variance 1 (LeCun et al. 1998, "Efficient
    BackProp", section 4.6), and for the affine output; twice that for ReLU, which zeroes half (He et al. 2015).
    """
    return nn.initializers.lecun_normal() if layout == "1998" else nn.initializers.he_normal()
