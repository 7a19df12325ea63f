"""Generated examples on their way to the eye: bytes, rows of pictures, points in the plane, ways through noise."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, UInt8


def as_signed(images: UInt8[Array, "batch height width channels"]) -> Float[Array, "batch height width channels"]:
    """Bytes as numbers in [-1, 1], the range of tanh."""
    return images.astype(jnp.float32) / 127.5 - 1


def as_bytes(images: ArrayLike) -> UInt8[Array, "*shape"]:
    """Numbers in [-1, 1] as bytes: the inverse of `as_signed`; what lies outside is cut off."""
    return jnp.clip(jnp.round((jnp.asarray(images) + 1) * 127.5), 0, 255).astype(jnp.uint8)


def side_by_side(
    images: UInt8[np.ndarray, "_ height width channels"], columns: int
) -> UInt8[np.ndarray, "_ height long channels"]:
    """Each `columns` pictures as one long one."""
    _, height, width, channels = images.shape
    rows = images.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    return rows.reshape(-1, height, columns * width, channels)


def slerp(
    start: Float[np.ndarray, "rows latent"], end: Float[np.ndarray, "rows latent"], steps: int
) -> Float[np.ndarray, "rows {steps} latent"]:
    """Great circles from start to end, both included: White 2016, https://arxiv.org/abs/1609.04468. A straight line
    would lead through lengths that normal noise of many dimensions never has.
    """
    cosine = (start * end).sum(1) / (np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1))
    angle = np.arccos(np.clip(cosine, -1 + 1e-6, 1 - 1e-6))[:, None, None]
    t = np.linspace(0, 1, steps)[None, :, None]
    ways = np.sin((1 - t) * angle) * start[:, None] + np.sin(t * angle) * end[:, None]
    found: Float[np.ndarray, "rows steps latent"] = (ways / np.sin(angle)).astype(np.float32)
    return found


def scattered(
    clouds: Sequence[Float[np.ndarray, "_ 2"]], side: int = 192
) -> UInt8[np.ndarray, "clouds {side} {side} 1"]:
    """Points in the plane as dark dots on white; the first cloud, with a margin, sets the scale of all."""
    reach = 1.25 * np.abs(clouds[0]).max() or 1.0
    pictures = np.full((len(clouds), side, side, 1), 255, np.uint8)
    for picture, points in zip(pictures, clouds, strict=True):
        places = np.floor((points / reach + 1) / 2 * side).astype(int)
        inside = ((places >= 0) & (places < side - 1)).all(1)
        column, row = places[inside, 0], side - 1 - places[inside, 1]
        for down, right in ((0, 0), (0, 1), (-1, 0), (-1, 1)):  # dots of 2 x 2
            picture[row + down, column + right] = 32
    return pictures
