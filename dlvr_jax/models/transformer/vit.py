"""Vision transformer: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", https://arxiv.org/abs/2010.11929,
section 3.1 and equations 1 to 4. Patches are tokens; a learned token in front of them gathers what the class is.
86,567,656 parameters at patch 16, width 768, 12 layers, 224x224x3 and 1,000 classes (ViT-B/16).

Initialisation as in the authors' code (https://github.com/google-research/vision_transformer): positions N(0, 0.02),
class token zero, Xavier's uniform range for layers; the biases, N(0, 1e-6) there in feed-forward layers, are zero.

Deviations:
- The head begins as N(0, 0.02), not as zero, so that every parameter has a gradient from the first step on.
- The norms add 1e-12 to the variance, as in transformers; the authors' code adds 1e-6.
"""

from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.gelu import gelu
from dlvr_jax.layers.layer_norm import LayerNorm
from dlvr_jax.layers.transformer_block import Block
from dlvr_jax.schema import Between, Count, Number

EPSILON = 1e-12  # added to the variance in the norms


class ViT(nn.Module):
    """Images to logits, through a sequence of patches."""

    num_classes: int
    patch: Count = 4  # pixels of a side
    width: Count = 64
    layers: Count = 6
    num_heads: Count = 4
    hidden: Count | None = None  # units of the feed-forward layers; None: 4 times the width
    remat: bool = False  # the gradient keeps what each block gets, and computes the rest again
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, softmax and logits are float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
        attention_dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images whose sides are multiples of the patch.

        When `train`, `dropout` (for the embedded patches and what each layer adds) and `attention_dropout` (for the
        attention weights) are rates in [0, 1], which need the random stream "dropout". The class token after the last
        norm is sown as "features" into "intermediates".
        """
        x = self._embedded(self._patches(images))
        if train and dropout is not None:
            x = drop(x, dropout, self.make_rng("dropout"))

        def run_block(block: Block, x: Array) -> Array:
            return block(x, train=train, dropout=dropout, attention_dropout=attention_dropout)[0]

        run_block = nn.remat(run_block) if self.remat else run_block
        for number in range(self.layers):
            block = Block(
                self.width,
                self.num_heads,
                self.hidden or 4 * self.width,
                activation=gelu,
                epsilon=EPSILON,
                dtype=self.dtype,
                name=f"block{number}",
            )
            x = run_block(block, x)
        # Of what the last norm gives only the first token is used.
        features = LayerNorm(EPSILON, self.dtype, name="norm")(x[:, 0]).astype(jnp.float32)
        self.sow("intermediates", "features", features)
        return Dense(self.num_classes, kernel_init=nn.initializers.normal(0.02), name="output")(features)

    def _patches(self, images: Float[Array, "batch height width channels"]) -> Float[Array, "batch patches pixels"]:
        """Row by row; within a patch, row by row with the channels of a pixel together."""
        batch, height, width, channels = images.shape
        side = self.patch
        if height % side or width % side:
            raise ValueError(f"images of {height} x {width} pixels do not split into patches of {side} x {side}")
        x = images.reshape(batch, height // side, side, width // side, side, channels)
        return x.swapaxes(2, 3).reshape(batch, (height // side) * (width // side), side * side * channels)

    def _embedded(self, patches: Float[Array, "batch patches pixels"]) -> Float[Array, "batch patches+1 {self.width}"]:
        """Equation 1: a convolution whose windows do not overlap is an affine map of each patch."""
        x = Dense(self.width, dtype=self.dtype, name="embedding")(patches)
        token = self.param("class_token", nn.initializers.zeros, (self.width,))
        places = self.param("positions", nn.initializers.normal(0.02), (x.shape[1] + 1, self.width))
        first = jnp.broadcast_to(token.astype(self.dtype), (x.shape[0], 1, self.width))
        return jnp.concatenate([first, x], 1) + places.astype(self.dtype)
