"""Random changes to training images, on the device, each a pure function of (key, the example's index).

Images come as float32 in [0, 1], *before* standardisation: zero is black, and what moves in from outside is black.
Every draw for an example is made from `fold_in(key, index)`, so its result depends neither on its place in the batch,
nor on micro-batching, nor on how the batch is split over devices. (Mixing also depends on the partner: `mixing.py`.)
Whole numbers and switches are structure: they choose the program. Numbers typed `Number | None` are data that may
be traced; None leaves them out of the program.
"""

from enum import IntEnum
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int, Key

from dlvr_jax.data.mixing import cutmix_weights, mix, mixup_weights
from dlvr_jax.schema import Between, Number

Images = Float[Array, "batch height width channels"]
Keys = Key[Array, " batch"]


class Draw(IntEnum):
    """What a random number of one example is for. Fixed for ever: changing one changes every augmented run."""

    FLIP, ROTATION, SHIFT, CUTOUT, MIXUP, CUTMIX, WHICH_MIX = range(7)


def augment(
    images: Images,
    labels: Int[Array, " batch"],
    index: Int[Array, " batch"],
    key: Key[Array, ""],
    *,
    num_classes: int,
    shift: Annotated[int, Between(0, None)] = 0,
    flip: bool = False,
    rotation: Annotated[Number | None, Between(0, 180)] = None,
    cutout: Annotated[int, Between(0, None)] = 0,
    mixup: Annotated[Number | None, Between(0, None)] = None,
    cutmix: Annotated[Number | None, Between(0, None)] = None,
) -> tuple[Images, Float[Array, "batch {num_classes}"]]:
    """The images, changed in the order of the arguments, and their labels as probabilities.

    `index` numbers the examples in their data set, and `key` belongs to the step. `shift` and `cutout` are in pixels,
    `rotation` in degrees, `mixup` and `cutmix` are the alpha of their Beta distribution; 0 leaves images as they are.
    With both, each example draws which of the two it gets.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    targets = jax.nn.one_hot(labels, num_classes)
    if flip:
        images = random_flip(images, _keys_for(keys, Draw.FLIP))
    if rotation is not None:
        images = random_rotation(images, _keys_for(keys, Draw.ROTATION), rotation)
    if shift:
        images = random_shift(images, _keys_for(keys, Draw.SHIFT), shift)
    if cutout:
        images = random_cutout(images, _keys_for(keys, Draw.CUTOUT), cutout)
    if mixup is None and cutmix is None:
        return images, targets
    return mix(images, targets, _mixing_weights(keys, images.shape[1:3], mixup, cutmix))


def random_flip(images: Images, keys: Keys) -> Images:
    """Mirrors each image left to right with probability 1/2."""
    flipped = jax.vmap(jax.random.bernoulli)(keys)
    return jnp.where(flipped[:, None, None, None], images[:, :, ::-1], images)


def random_shift(images: Images, keys: Keys, shift: int) -> Images:
    """Moves each image by -shift to shift pixels along each side: pad by `shift` black pixels, then crop at random.

    The padded random crop of He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2 (there by 4 pixels).
    """
    corners = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * shift + 1))(keys)
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))

    def crop(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (*corner, 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)


def random_rotation(images: Images, keys: Keys, degrees: Number) -> Images:
    """Turns each image about its centre by an angle uniform in [-degrees, degrees], bilinearly; outside is black.

    As in Simard et al. 2003, "Best Practices for Convolutional Neural Networks", which turn, shift and warp digits.
    """
    angles = jax.vmap(lambda key: jax.random.uniform(key, minval=-1.0, maxval=1.0))(keys) * jnp.deg2rad(degrees)
    return jax.vmap(rotate)(images, angles)


def rotate(
    image: Float[Array, "height width channels"], angle: Float[Array, ""]
) -> Float[Array, "height width channels"]:
    """The image turned about its centre by `angle` radians, counter-clockwise as seen; bilinear, outside is black."""
    centre = (jnp.array(image.shape[:2]) - 1) / 2
    y, x = jnp.mgrid[: image.shape[0], : image.shape[1]] - centre[:, None, None]
    source = [
        jnp.cos(angle) * y + jnp.sin(angle) * x + centre[0],
        jnp.cos(angle) * x - jnp.sin(angle) * y + centre[1],
    ]
    return jax.vmap(lambda plane: map_coordinates(plane, source, order=1), in_axes=-1, out_axes=-1)(image)


def random_cutout(images: Images, keys: Keys, size: int) -> Images:
    """Blackens a square of `size` pixels a side around a random pixel; near the border only part of it falls inside.

    DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552, section 3. They fill with the mean, here it is black.
    """
    height, width = images.shape[1:3]
    draw = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, jnp.array([height, width])))
    start = draw(keys) - size // 2

    def inside(axis: int, side: int) -> Array:
        distance = jnp.arange(side) - start[:, axis, None]
        return (distance >= 0) & (distance < size)

    square = inside(0, height)[:, :, None] & inside(1, width)[:, None, :]
    return jnp.where(square[..., None], 0.0, images)


def _keys_for(keys: Keys, draw: Draw) -> Keys:
    """Each example's key for one kind of draw, so that switching one on or off leaves the others as they were."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, draw)


def _mixing_weights(
    keys: Keys, size: tuple[int, ...], mixup: Number | None, cutmix: Number | None
) -> Float[Array, "batch height width"]:
    """How much of each pixel stays an example's own, by mixup, by CutMix, or by a coin that picks one of them."""
    height, width = size
    choices = []
    if mixup is not None:
        choices.append(mixup_weights(_keys_for(keys, Draw.MIXUP), mixup, height, width))
    if cutmix is not None:
        choices.append(cutmix_weights(_keys_for(keys, Draw.CUTMIX), cutmix, height, width))
    if len(choices) == 1:
        return choices[0]
    blends, boxes = choices
    coin = jax.vmap(jax.random.bernoulli)(_keys_for(keys, Draw.WHICH_MIX))
    return jnp.where(coin[:, None, None], blends, boxes)
