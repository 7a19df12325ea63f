"""Residual blocks: He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image Recognition",
https://arxiv.org/abs/1512.03385, figures 2 and 5, and section 3.3 on shortcuts.

A convolution pads k // 2 zeros on each side, so that a stride of 2 begins at the first pixel, as in PyTorch. A 1x1
convolution is a matrix product of the places that its stride leaves, which is the same and faster on CPUs.

Deviations:
- The stride of a bottleneck stands in its 3x3 convolution, not in the first 1x1: Goyal et al. 2017,
  https://arxiv.org/abs/1706.02677, section 5.1, as every later code has it ("ResNet v1.5").
- With `zero_init` the last norm's scale starts at zero, so that each block starts as its shortcut: the same section.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense

# Where the shape changes: options A and B of section 3.3. "none": no shortcut at all, the plain net of section 3.3.
Shortcut = Literal["identity", "projection", "none"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, y = relu(x + f(x)): figure 2 of the paper."""

    features: int
    stride: int = 1
    shortcut: Shortcut = "projection"
    zero_init: bool = True
    attention: Callable[..., nn.Module] | None = None  # acts on f(x) before the sum; called with a name
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and batch statistics are float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch _ _ {self.features}"]:
        """The sum, after ReLU; height and width fall by the stride."""
        conv, norm = conv3x3(self.dtype), batch_norm(train, self.dtype)
        x = computed_once(x)
        y = conv(self.features, strides=self.stride, name="conv1")(x)
        y = conv(self.features, name="conv2")(computed_once(nn.relu(norm(name="norm1")(y))))
        y = norm(scale_init=last_scale(self.zero_init), name="norm2")(y)
        y = y if self.attention is None else self.attention(name="attention")(y)
        return nn.relu(y + _shortcut(x, self, norm))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution and a shortcut, y = relu(x + f(x)): figure 5 of the paper, right."""

    features: int  # that come out; the 3x3 convolution has a quarter of them
    stride: int = 1
    shortcut: Shortcut = "projection"
    zero_init: bool = True
    attention: Callable[..., nn.Module] | None = None  # acts on f(x) before the sum; called with a name
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and batch statistics are float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch _ _ {self.features}"]:
        """The sum, after ReLU; height and width fall by the stride."""
        norm, pointwise = batch_norm(train, self.dtype), conv1x1(self.dtype)
        x = computed_once(x)
        y = computed_once(nn.relu(norm(name="norm1")(pointwise(self.features // 4, name="conv1")(x))))
        y = conv3x3(self.dtype)(self.features // 4, strides=self.stride, name="conv2")(y)
        y = pointwise(self.features, name="conv3")(nn.relu(norm(name="norm2")(y)))
        y = norm(scale_init=last_scale(self.zero_init), name="norm3")(y)
        y = y if self.attention is None else self.attention(name="attention")(y)
        return nn.relu(y + _shortcut(x, self, norm))


def conv3x3(dtype: DTypeLike) -> Callable[..., nn.Module]:
    """A 3x3 convolution before a norm, which makes a bias useless. ReLU halves the variance, twice makes up for it."""
    return partial(
        Conv, kernel_size=(3, 3), padding=1, use_bias=False, kernel_init=nn.initializers.he_normal(), dtype=dtype
    )


def conv1x1(dtype: DTypeLike) -> Callable[..., nn.Module]:
    """A 1x1 convolution before a norm; for a stride, give it `x[:, ::stride, ::stride]`."""
    return partial(Dense, use_bias=False, kernel_init=nn.initializers.he_normal(), dtype=dtype)


def batch_norm(train: bool, dtype: DTypeLike) -> Callable[..., nn.Module]:
    """Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167; moving averages keep nine tenths of themselves."""
    return partial(BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype)


def last_scale(zero_init: bool) -> nn.initializers.Initializer:
    """Of the norm before the sum."""
    return nn.initializers.zeros if zero_init else nn.initializers.ones


def _shortcut(x: Array, block: BasicBlock | Bottleneck, norm: Callable[..., nn.Module]) -> Array:
    """`x` itself, or what of it has the shape of the sum."""
    if block.shortcut == "none":
        return jnp.zeros((), block.dtype)
    channels = x.shape[-1]
    if block.stride == 1 and channels == block.features:
        return x
    x = x[:, :: block.stride, :: block.stride]
    if block.shortcut == "identity":
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, block.features - channels))).astype(block.dtype)
    return norm(name="shortcut_norm")(conv1x1(block.dtype)(block.features, name="shortcut")(x))
