"""Pictures as `data:` addresses, within a number of bytes."""

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from PIL import Image

_LARGEST = 256  # pixels a side
_MOST = 144  # pictures of one display


@dataclass(frozen=True)
class Picture:
    """One picture for the page."""

    address: str
    width: int
    height: int


def pictures(images: UInt8[np.ndarray, "count height width channels"], budget: int) -> list[Picture]:
    """The first pictures, as PNG; made smaller together until their addresses take at most `budget` bytes."""
    from PIL import Image

    opened = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image[..., :3]) for image in images[:_MOST]]
    side = min(_LARGEST, max(images.shape[1:3]))
    while opened:
        made = [_encoded(image, side) for image in opened]
        if sum(len(one.address) for one in made) <= budget or side <= 4:
            return made
        side = side * 3 // 4
    return []


def _encoded(image: "Image.Image", side: int) -> Picture:
    """One picture no wider or higher than `side`."""
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return Picture("data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), *image.size)
