"""ResNet: He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image Recognition", https://arxiv.org/abs/1512.03385,
table 1 (`ResNet`) and section 4.2 (`ResNetCifar`).

Parameters at 1,000 classes and three channels: ResNet-18 11,689,512, -34 21,797,672, -50 25,557,032, -101 44,549,160,
-152 60,192,808. At ten classes and three channels: ResNet-20 269,722 (the paper's 0.27 M), -32 0.46 M, -56 0.85 M.

Deviations, beside those of the blocks (see `layers/residual_block.py`):
- `stem="small"` is one 3x3 convolution of stride 1 for the 7x7 of stride 2 and the pooling, which would leave 7x7 of
  28x28 pixels before the first block.
- `depth=10`, one basic block a stage, is not in the paper.
"""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.residual_block import BasicBlock, Bottleneck, Shortcut, batch_norm, conv3x3
from dlvr_jax.schema import Count

TABLE_1: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    10: (BasicBlock, (1, 1, 1, 1)),
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
STAGES = (1, 2, 3)  # of the layout for CIFAR-10


class ResNet(nn.Module):
    """The layout for ImageNet: a stem, four stages that halve the picture and double the maps, a mean, a layer."""

    num_classes: int
    depth: Literal[10, 18, 34, 50, 101, 152] = 18  # layers with weights
    width: Count = 64  # maps of the stem and of the first stage's 3x3 convolutions
    stem: Literal["imagenet", "small"] = "imagenet"
    zero_init: bool = True  # each block starts as its shortcut
    remat: bool = False  # the gradient keeps what each block gets, and computes the rest again
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, batch statistics and logits are float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images.

        When `train`, batch statistics are used, and updated in the collection "batch_stats". The mean over places is
        sown as "features" into "intermediates".
        """
        block, repeats = TABLE_1[self.depth]
        expansion = 4 if block is Bottleneck else 1

        def run_block(module: nn.Module, x: Array) -> Array:
            return module(x, train=train)

        run_block = nn.remat(run_block) if self.remat else run_block
        x = self._stem(images, train)
        for stage, count in enumerate(repeats, start=1):
            for place in range(1, count + 1):
                made = block(
                    expansion * self.width * 2 ** (stage - 1),
                    stride=2 if stage > 1 and place == 1 else 1,
                    zero_init=self.zero_init,
                    dtype=self.dtype,
                    name=f"block{stage}_{place}",
                )
                x = run_block(made, x)
        return _logits(self, x)

    def _stem(self, images: Array, train: bool) -> Array:
        conv, norm = conv3x3(self.dtype), batch_norm(train, self.dtype)(name="stem_norm")
        if self.stem == "small":
            return nn.relu(norm(conv(self.width, name="stem")(images)))
        x = nn.relu(norm(conv(self.width, kernel_size=(7, 7), strides=2, padding=3, name="stem")(images)))
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


class ResNetCifar(nn.Module):
    """The layout for CIFAR-10: 3x3 convolutions, three stages of n basic blocks, 6n + 2 layers."""

    num_classes: int
    depth: Count = 20  # layers with weights: 6n + 2; the paper has 20, 32, 44, 56, 110
    width: Count = 16  # maps of the first stage
    shortcut: Shortcut = "identity"
    zero_init: bool = False  # True: each block starts as its shortcut
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, batch statistics and logits are float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of standardised images; see `ResNet`."""
        return three_stages(self, images, train)


def three_stages(
    model: Any,
    images: Float[Array, "batch height width channels"],
    train: bool,
    attention: Callable[[int], Callable[..., nn.Module] | None] = lambda stage: None,
    after: Callable[[int, Array], Array] = lambda stage, x: x,
) -> Float[Array, "batch classes"]:
    """The logits by the layout for CIFAR-10; called inside the compact call of `model`.

    `model` has the fields of `ResNetCifar`; the parameters are its own. `attention` says what stands in each block of a
    stage, `after` what becomes of the output of its last one.
    """
    conv, norm = conv3x3(model.dtype), batch_norm(train, model.dtype)
    x = nn.relu(norm(name="stem_norm")(conv(model.width, name="stem")(images)))
    for stage in STAGES:
        for place in range(1, blocks_a_stage(model.depth) + 1):
            x = BasicBlock(
                model.width * 2 ** (stage - 1),
                stride=2 if stage > 1 and place == 1 else 1,
                shortcut=model.shortcut,
                zero_init=model.zero_init,
                attention=attention(stage),
                dtype=model.dtype,
                name=f"block{stage}_{place}",
            )(x, train=train)
        x = after(stage, x)
    return _logits(model, x)


def blocks_a_stage(depth: int) -> int:
    """The n of depth = 6n + 2. Raises ValueError, with the nearest depths, if there is none."""
    n, rest = divmod(depth - 2, 6)
    if n < 1 or rest:
        near = " or ".join(str(6 * k + 2) for k in dict.fromkeys((max(n, 1), max(n + 1, 1))))
        raise ValueError(f"depth = {depth} is not 6n + 2 (three stages of n blocks); use {near}")
    return n


def _logits(model: Any, x: Float[Array, "batch height width maps"]) -> Float[Array, "batch classes"]:
    """The mean over places, and an affine layer, in float32."""
    features = x.astype(jnp.float32).mean((1, 2))
    model.sow("intermediates", "features", features)
    return Dense(model.num_classes, kernel_init=nn.initializers.lecun_normal(), name="output")(features)
