"""Inception-v3: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision",
https://arxiv.org/abs/1512.00567, table 1, in the form whose 2,048 features (pool3) define the FID of Heusel et al.
2017, https://arxiv.org/abs/1706.08500: the graph of 5 December 2015, as pytorch-fid wrote it anew,
https://github.com/mseitzer/pytorch-fid. Layers are called as they are there.

23,850,960 parameters at 1,008 outputs, 21,785,568 of them below the last layer.

Deviations of that form from the paper: no auxiliary classifier; means of windows at a border leave out what lies beyond
it; the last block pools by the maximum. Images of any size, grey or in colour, are brought to 299x299x3.
"""

from functools import partial
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.batch_norm import BatchNorm
from dlvr_jax.layers.convolution import Conv
from dlvr_jax.layers.dense import Dense

SIDE = 299  # pixels
ONE, THREE, FIVE, ROW, COLUMN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)

Maps = Float[Array, "batch height width channels"]


class Way(NamedTuple):
    """A chain of units, (maps, kernel) each; `ends` are the maps of a row and a column side by side at its end."""

    name: str
    units: tuple[tuple[int, tuple[int, int]], ...]
    ends: int | None = None


def factored(c: int) -> tuple[Way, ...]:
    """Figure 6: 7x7 as a row and a column, of c maps inside."""
    twice = ((c, ONE), (c, COLUMN), (c, ROW), (c, COLUMN), (192, ROW))
    return (
        Way("branch1x1", ((192, ONE),)),
        Way("branch7x7", ((c, ONE), (c, ROW), (192, COLUMN))),
        Way("branch7x7dbl", twice),
    )


FIGURE_5 = (
    Way("branch1x1", ((64, ONE),)),
    Way("branch5x5", ((48, ONE), (64, FIVE))),
    Way("branch3x3dbl", ((64, ONE), (96, THREE), (96, THREE))),
)
FIGURE_7 = (
    Way("branch1x1", ((320, ONE),)),
    Way("branch3x3", ((384, ONE),), ends=384),
    Way("branch3x3dbl", ((448, ONE), (384, THREE)), ends=384),
)
HALVING_6A = (
    Way("branch3x3", ((384, THREE),)),
    Way("branch3x3dbl", ((64, ONE), (96, THREE), (96, THREE))),
)
HALVING_7A = (
    Way("branch3x3", ((192, ONE), (320, THREE))),
    Way("branch7x7x3", ((192, ONE), (192, ROW), (192, COLUMN), (192, THREE))),
)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    maps: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: Literal["SAME", "VALID"] = "SAME"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Float[Array, "batch _ _ {self.maps}"]:
        """See the class."""
        initial = nn.initializers.he_normal()  # ReLU zeroes half of the signal: He et al. 2015
        conv = partial(Conv, use_bias=False, kernel_init=initial, dtype=self.dtype, name="conv")
        x = conv(self.maps, self.kernel, self.stride, self.padding)(x)
        return nn.relu(BatchNorm(use_running_average=not train, epsilon=1e-3, dtype=self.dtype, name="bn")(x))


class Mixed(nn.Module):
    """Ways side by side and last a pooling, their maps one behind the other.

    The pooling goes through a unit of `pooled` maps. Where there is none the block halves: the last units and the
    pooling, by the maximum, have stride 2 and no border.
    """

    ways: tuple[Way, ...]
    pooled: int | None = None
    pool: Literal["mean", "max"] = "mean"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Float[Array, "batch _ _ _"]:
        """See the class."""
        found = [part for way in self.ways for part in self._along(way, x, train)]
        if self.pooled is None:
            return jnp.concatenate([*found, _halved(x)], axis=-1)
        mean = partial(nn.avg_pool, count_include_pad=False)
        near = (mean if self.pool == "mean" else nn.max_pool)(x, THREE, ONE, "SAME")
        unit = Unit(self.pooled, ONE, dtype=self.dtype, name="branch_pool")
        return jnp.concatenate([*found, unit(near, train=train)], axis=-1)

    def _along(self, way: Way, x: Maps, train: bool) -> list[Array]:
        alone = len(way.units) == 1 and way.ends is None
        for number, (maps, kernel) in enumerate(way.units, start=1):
            halves = self.pooled is None and number == len(way.units)
            name = way.name if alone else f"{way.name}_{number}"
            unit = partial(Unit, stride=2, padding="VALID") if halves else Unit
            x = unit(maps, kernel, dtype=self.dtype, name=name)(x, train=train)
        if way.ends is None:
            return [x]
        last = f"{way.name}_{len(way.units) + 1}"
        row = Unit(way.ends, (1, 3), dtype=self.dtype, name=f"{last}a")
        column = Unit(way.ends, (3, 1), dtype=self.dtype, name=f"{last}b")
        return [row(x, train=train), column(x, train=train)]


class InceptionV3(nn.Module):
    """Table 1 of the paper."""

    num_classes: int
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters, batch statistics and logits are float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        """The logits, float32, of images in [-1, 1].

        When `train`, batch statistics are used, and updated in the collection "batch_stats". The mean over places is
        sown as "features" into "intermediates".
        """
        unit, mixed = partial(Unit, dtype=self.dtype), partial(Mixed, dtype=self.dtype)
        x = _of_its_size(images)
        x = unit(32, THREE, 2, "VALID", name="Conv2d_1a_3x3")(x, train=train)
        x = unit(32, THREE, 1, "VALID", name="Conv2d_2a_3x3")(x, train=train)
        x = _halved(unit(64, THREE, name="Conv2d_2b_3x3")(x, train=train))
        x = unit(80, ONE, name="Conv2d_3b_1x1")(x, train=train)
        x = _halved(unit(192, THREE, 1, "VALID", name="Conv2d_4a_3x3")(x, train=train))
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = mixed(FIGURE_5, pooled, name=name)(x, train=train)
        x = mixed(HALVING_6A, name="Mixed_6a")(x, train=train)
        for name, inside in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = mixed(factored(inside), 192, name=name)(x, train=train)
        x = mixed(HALVING_7A, name="Mixed_7a")(x, train=train)
        x = mixed(FIGURE_7, 192, name="Mixed_7b")(x, train=train)
        x = mixed(FIGURE_7, 192, "max", name="Mixed_7c")(x, train=train)
        features = x.astype(jnp.float32).mean((1, 2))
        self.sow("intermediates", "features", features)
        return Dense(self.num_classes, kernel_init=nn.initializers.lecun_normal(), name="fc")(features)


def _of_its_size(images: Maps) -> Float[Array, "batch 299 299 3"]:
    """Between pixels in a straight line, without smoothing; a grey image three times."""
    batch, *_, channels = images.shape
    scaled = jax.image.resize(images, (batch, SIDE, SIDE, channels), "bilinear", antialias=False)
    return jnp.broadcast_to(scaled, (batch, SIDE, SIDE, 3))


def _halved(x: Maps) -> Float[Array, "batch _ _ channels"]:
    return nn.max_pool(x, THREE, (2, 2), "VALID")
