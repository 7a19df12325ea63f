"""ResNet for small pictures with a choice of attention: `ResNetCifar` (He et al. 2015, section 4.2) and, in it,

- "se": squeeze and excite (Hu et al. 2018, https://arxiv.org/abs/1709.01507) in each block of the stages named, before
  the sum, as in figure 3 there;
- "cbam": the convolutional block attention module (Woo et al. 2018, https://arxiv.org/abs/1807.06521), at the same
  place, as in figure 3 there;
- "self_attention": every place looks at every place (Zhang et al. 2019, https://arxiv.org/abs/1805.08318), once, after
  the last block of the stages named.

Formulas and deviations: `layers/image_attention.py`. ResNet-20 at ten classes and one channel has 269,434 parameters.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.image_attention import CBAM, ImageSelfAttention, SqueezeExcite
from dlvr_jax.layers.residual_block import Shortcut
from dlvr_jax.models.modern_cnn.resnet import STAGES, three_stages
from dlvr_jax.schema import Count

Maps = Float[Array, "batch height width maps"]


class AttentionResNet(nn.Module):
    """Three stages of n residual blocks, 6n + 2 layers, with attention in some of them."""

    num_classes: int
    attention: Literal["none", "se", "cbam", "self_attention"] = "se"
    stages: tuple[Count, ...] = STAGES  # that have it
    reduction: Count = 8  # channels for each unit between (se, cbam) or axis of queries, keys, values (self_attention)
    depth: Count = 20  # layers with weights, without attention's: 6n + 2
    width: Count = 16  # maps of the first stage
    shortcut: Shortcut = "identity"
    zero_init: bool = False  # True: each block starts as its shortcut
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, batch statistics and logits are float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images.

        When `train`, batch statistics are used, and updated in the collection "batch_stats". The mean over places is
        sown as "features" into "intermediates", beside the weights of attention.
        """
        if unknown := [stage for stage in self.stages if stage not in STAGES]:
            raise ValueError(f"stages: there is no stage {unknown[0]}; there are 1, 2 and 3")
        return three_stages(self, images, train, self._in_block, self._after_stage)

    def _in_block(self, stage: int) -> Callable[..., nn.Module] | None:
        """What stands in each block of a stage."""
        kinds = {"se": SqueezeExcite, "cbam": CBAM}
        if self.attention not in kinds or stage not in self.stages:
            return None
        maps = self.width * 2 ** (stage - 1)
        return partial(kinds[self.attention], max(1, maps // self.reduction), dtype=self.dtype)

    def _after_stage(self, stage: int, x: Maps) -> Maps:
        """What comes out of a stage, after all of its places have looked at each other."""
        if self.attention != "self_attention" or stage not in self.stages:
            return x
        return ImageSelfAttention(self.reduction, dtype=self.dtype, name=f"attention{stage}")(x)
