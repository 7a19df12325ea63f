"""A convolutional energy of images: the plain net of Nijkamp et al. 2019, "Learning Non-Convergent Non-Persistent
Short-Run MCMC Toward Energy-Based Model", https://arxiv.org/abs/1904.09770 (also the "vanilla" net of Nijkamp et al.
2020, https://arxiv.org/abs/1903.12370).

A 3x3 convolution at full resolution, then 4x4 convolutions of stride 2 that double the maps, down to one number.

Deviations:
- swish for the leaky ReLU: Langevin dynamics follows the slope in the image, which should have no jumps;
- 28x28 images make three halvings, 28 -> 14 -> 7 -> 4, and a linear layer over what is left, not a fourth convolution;
- the first convolution has the stride 2 as well unless `full_resolution`: a quarter of the arithmetic, for CPUs.
"""

from functools import partial
from typing import Annotated, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.computed_once import computed_once
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.swish import swish
from dlvr_jax.schema import Between, Count


class EnergyNet(nn.Module):
    """Images in [-1, 1] to one energy each; the density is proportional to exp(-energy).

    There is no bias at the end: a constant changes no density, and of the loss in tasks/energy.py only the regulariser
    `energy_l2` would move it. `norm` = "batch" couples the energies of a batch, which no energy of one image should do:
    it is there to be compared with.
    """

    widths: tuple[Count, ...] = (16, 32, 64)  # maps after each halving
    full_resolution: Annotated[int | None, Between(1, None)] = None  # maps of a convolution before the first halving
    norm: Literal["none", "batch"] = "none"
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and energies are float32

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"], *, train: bool) -> Float[Array, " batch"]:
        """The energy of each image, float32."""
        convolve = partial(Conv, dtype=self.dtype, kernel_init=nn.initializers.he_normal())
        x = computed_once(images.astype(self.dtype))
        if self.full_resolution is not None:
            x = swish(convolve(self.full_resolution, (3, 3), name="full_resolution")(x))
        for place, width in enumerate(self.widths):
            x = convolve(width, (4, 4), strides=2, use_bias=self.norm == "none", name=f"conv{place + 1}")(x)
            if self.norm == "batch":
                x = BatchNorm(not train, momentum=0.9, dtype=self.dtype, name=f"norm{place + 1}")(x)
            x = swish(x)
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        return Dense(1, use_bias=False, kernel_init=nn.initializers.lecun_normal(), name="energy")(x)[:, 0]
