"""A small VGG: Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
https://arxiv.org/abs/1409.1556, section 2.1: blocks of 3x3 convolutions, 2x2 max-pooling between them, and widths that
double from block to block.

72,666 parameters at the default widths (28x28x1 or any other size of one channel, 10 classes); the paper's have 133
million and more.

Deviations:
- Three narrow blocks of two convolutions, not five of up to four.
- Batch normalisation after each convolution, which then needs no bias: Ioffe & Szegedy 2015,
  https://arxiv.org/abs/1502.03167.
- The mean over positions and one affine layer, not three wide layers: Lin et al. 2014, "Network In Network",
  https://arxiv.org/abs/1312.4400, section 3.2. Dropout acts before that layer.
"""

from functools import partial
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.pooling import max_pool
from dlvr_jax.schema import Between, Count, Number


class SmallVGG(nn.Module):
    """Blocks of equal convolutions, halved in between, averaged at the end."""

    num_classes: int
    widths: tuple[Count, ...] = (16, 32, 64)  # maps of each block
    convolutions: Count = 2  # in each block
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, batch statistics and logits are float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images.

        When `train`, batch statistics are used, and updated in the collection "batch_stats"; `dropout` is a rate in
        [0, 1], which needs the random stream "dropout". The mean over places is sown as "features" into
        "intermediates".
        """
        # ReLU zeroes half of the signal, twice the variance makes up for it: He et al. 2015.
        conv = partial(
            Conv, kernel_size=(3, 3), use_bias=False, kernel_init=nn.initializers.he_normal(), dtype=self.dtype
        )
        norm = partial(BatchNorm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        x = images
        for block, maps in enumerate(self.widths, start=1):
            if block > 1:
                x = max_pool(x)
            for place in range(1, self.convolutions + 1):
                x = conv(maps, name=f"conv{block}_{place}")(x)
                x = nn.relu(norm(name=f"norm{block}_{place}")(x))
        x = x.astype(jnp.float32).mean((1, 2))
        self.sow("intermediates", "features", x)
        if train and dropout is not None:
            x = drop(x, dropout, self.make_rng("dropout"))
        return Dense(self.num_classes, kernel_init=nn.initializers.lecun_normal(), name="output")(x)
