"""Pictures as `data:` addresses, within a number of bytes."""

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from PIL import Image

_WIDEST, _HIGHEST = 1024, 256  # pixels
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
    height, width = min(_HIGHEST, images.shape[1]), min(_WIDEST, images.shape[2])
    while opened:
        made = [_encoded(image, width, height) for image in opened]
        if sum(len(one.address) for one in made) <= budget or max(width, height) <= 4:
            return made
        width, height = width * 3 // 4 or 1, height * 3 // 4 or 1
    return []


def _encoded(image: "Image.Image", width: int, height: int) -> Picture:
    """One picture no wider and no higher than that."""
    if image.width > width or image.height > height:
        image = image.copy()
        image.thumbnail((width, height))
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return Picture("data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), *image.size)
