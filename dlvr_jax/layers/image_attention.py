"""Attention inside convolutional networks: which maps, which places, and which places for each place.

Hu et al. 2018, "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, section 3.
Woo et al. 2018, "CBAM: Convolutional Block Attention Module", https://arxiv.org/abs/1807.06521, section 3.
Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", https://arxiv.org/abs/1805.08318, section 3; a case
of Wang et al. 2018, "Non-local Neural Networks", https://arxiv.org/abs/1711.07971.

What each attends to is sown into "intermediates", for pictures.

Deviations:
- The 7x7 convolution of CBAM has neither bias nor norm, as in equation 3; the authors' code adds a norm.
- Self-attention divides its scores by sqrt(depth), as Vaswani et al. 2017 do.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.attention import attend
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense

Maps = Float[Array, "batch height width channels"]


class SqueezeExcite(nn.Module):
    """Weighs each map by what all maps hold on average: s = sigmoid(W2 f(W1 mean(x))), equation 3.

    The weights, batch x channels, are sown as "channel_attention".
    """

    hidden: int  # units between, the paper's C / r
    activation: Callable[[Array], Array] = nn.relu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """x times s, map by map."""
        mean = x.mean((1, 2), dtype=jnp.float32)
        weights = nn.sigmoid(_mlp(self.hidden, x.shape[-1], self.activation, self.dtype)(mean))
        self.sow("intermediates", "channel_attention", weights)
        return x * weights[:, None, None]


class CBAM(nn.Module):
    """Weighs each map, then each place, equations 1 to 3; both see means and maxima.

    Weights are sown as "channel_attention", batch x channels, and "spatial_attention", batch x height x width.
    """

    hidden: int  # units between, the paper's C / r
    size: int = 7  # of the kernel that weighs places
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """x times the weights of maps, then times the weights of places."""
        mlp = _mlp(self.hidden, x.shape[-1], nn.relu, self.dtype)
        maps = nn.sigmoid(mlp(x.mean((1, 2), dtype=jnp.float32)) + mlp(x.max((1, 2))))
        self.sow("intermediates", "channel_attention", maps)
        x = x * maps[:, None, None]
        seen = jnp.stack([x.mean(-1, dtype=jnp.float32).astype(x.dtype), x.max(-1)], -1)
        convolution = Conv(
            1, (self.size, self.size), padding=self.size // 2, use_bias=False, dtype=self.dtype, name="places"
        )
        places = nn.sigmoid(convolution(seen))
        self.sow("intermediates", "spatial_attention", places[..., 0])
        return x * places


class ImageSelfAttention(nn.Module):
    """Every place looks at every place: x + g V(softmax(Q(x) K(x)^T / sqrt(d)) H(x)), with a learned g, at first 0.

    The weights, batch x 1 x queries x keys with places row by row, are sown as "attention". Without biases: one for the
    keys would add the same to a whole row of scores, which a softmax does not see.
    """

    reduction: int = 8  # channels for each axis of queries, keys and values
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and softmax are float32

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Raises ValueError for a single place, which could only look at itself."""
        batch, height, width, channels = x.shape
        if height * width == 1:
            raise ValueError("self-attention over 1x1 places can only look at itself; put it into an earlier stage")
        places = x.reshape(batch, 1, height * width, channels)  # one head
        dense = partial(Dense, use_bias=False, dtype=self.dtype)
        depth = max(1, channels // self.reduction)
        q, k, v = (dense(depth, name=name)(places) for name in ("query", "key", "value"))
        found, weights = attend(q, k, v)
        self.sow("intermediates", "attention", weights)
        strength = self.param("strength", nn.initializers.zeros, ()).astype(self.dtype)
        return x + strength * dense(channels, name="output")(found).reshape(x.shape)


def _mlp(hidden: int, channels: int, activation: Callable[[Array], Array], dtype: DTypeLike) -> nn.Sequential:
    """Two affine layers, the second back to as many units as there are maps."""
    reduce = Dense(hidden, kernel_init=nn.initializers.he_normal(), dtype=dtype, name="reduce")
    return nn.Sequential([reduce, activation, Dense(channels, dtype=dtype, name="restore")])
