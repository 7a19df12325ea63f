"""Mixup and CutMix: an image made of an example and its partner, with a label in the same proportion.

The partner is the example before it in the batch; the first one's is the last. Under accumulation that is the batch
of one micro-step, so a mixed image (unlike every other augmentation) depends on how the batch is cut. How much of
each goes in is drawn from the example's own key. Every row must be a real example: a padded one would be mixed in.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dlvr_jax.schema import Number

Keys = Key[Array, " batch"]
Weights = Float[Array, "batch height width"]


def mix(
    images: Float[Array, "batch height width channels"], targets: Float[Array, "batch classes"], weights: Weights
) -> tuple[Float[Array, "batch height width channels"], Float[Array, "batch classes"]]:
    """weights * own + (1 - weights) * partner for each pixel, and for the labels with the mean of the weights."""
    own, share = weights[..., None], weights.mean((1, 2))[:, None]
    mixed = own * images + (1 - own) * jnp.roll(images, 1, axis=0)
    return mixed, share * targets + (1 - share) * jnp.roll(targets, 1, axis=0)


def mixup_weights(keys: Keys, alpha: Number, height: int, width: int) -> Weights:
    """One weight from Beta(alpha, alpha) for a whole image: Zhang et al. 2018, https://arxiv.org/abs/1710.09412."""
    return jnp.broadcast_to(_own_share(keys, alpha)[:, None, None], (len(keys), height, width))


def cutmix_weights(keys: Keys, alpha: Number, height: int, width: int) -> Weights:
    """0 inside a random box, which shows the partner, and 1 outside: Yun et al. 2019, https://arxiv.org/abs/1905.04899.

    The box has the image's shape and, before the border clips it, the area 1 - share, share from Beta(alpha, alpha).
    The labels follow the area that is really covered, as in the authors' code.
    """
    share_keys, centre_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    side = jnp.sqrt(1 - _own_share(share_keys, alpha))
    centre = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(centre_keys)

    def inside(axis: int, length: int) -> Array:
        box = jnp.floor(side * length)
        start = jnp.floor(centre[:, axis] * length) - box // 2
        distance = jnp.arange(length) - start[:, None]
        return (distance >= 0) & (distance < box[:, None])

    box = inside(0, height)[:, :, None] & inside(1, width)[:, None, :]
    return jnp.where(box, 0.0, 1.0)


def _own_share(keys: Keys, alpha: Number) -> Float[Array, " batch"]:
    """Draws from Beta(alpha, alpha), one a key; alpha may be traced, and 0 gives 1: nothing is mixed in."""
    alpha = jnp.asarray(alpha, jnp.float32)
    positive = jnp.where(alpha > 0, alpha, 1.0)
    drawn = jax.vmap(lambda key: jax.random.beta(key, positive, positive))(keys)
    return jnp.where(alpha > 0, drawn, 1.0)
