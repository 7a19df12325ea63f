"""Little pictures in files, for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, height: int = 12, width: int = 12) -> np.ndarray:
    """A random RGB picture."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Writes a PNG and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
