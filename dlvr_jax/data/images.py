"""Pictures out of encoded bytes, and their statistics."""

from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dlvr_jax.data.sources import Records
from dlvr_jax.errors import UserError

SAMPLE = 10_000  # the most train pictures that mean and standard deviation are taken from
_MODES = {1: "L", 3: "RGB"}


def decode(
    content: bytes, *, size: int | None, channels: int, where: str
) -> UInt8[np.ndarray, "height width channels"]:
    """The picture, upright, on white where transparent; cut to its middle square and resized if `size` is given.

    A damaged file, and one with more than 8 bits a channel, is a UserError that names `where`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(BytesIO(content)) as image:
            if image.mode.startswith(("I", "F")):
                raise UserError(f"{where} has more than 8 bits a channel; save it with 8")
            picture = _opaque(ImageOps.exif_transpose(image)).convert(_MODES[channels])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{where} cannot be read as a picture ({error})") from error
    if size is not None and picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def statistics(records: Records, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel after division by 255, over at most SAMPLE evenly spaced pictures."""
    rows = np.unique(np.linspace(0, len(records) - 1, SAMPLE).astype(np.int32))
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    for part in np.array_split(rows, -(-len(rows) // 500)):
        pixels = records.read(part)["image"].reshape(-1, channels) / 255
        count, total, squares = count + len(pixels), total + pixels.sum(0), squares + (pixels**2).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple(np.round(mean, 4).tolist()), tuple(np.round(np.maximum(deviation, 1e-3), 4).tolist())


def _opaque(image: Any) -> Any:
    """On white, where the picture has transparency."""
    from PIL import Image

    if "transparency" not in image.info and image.mode not in ("LA", "PA", "RGBA", "RGBa", "La"):
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
