"""What tasks with an energy show: chains as strips, energies as histograms, landscapes over the plane."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int, UInt8

from dlvr_jax.displays import Curves, HeatMap, Images

BINS = 40
GRID = 64  # points along a side of a landscape
_PIXELS = 5  # of a picture for each of these
_COLOURS = np.array([(213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167)], np.uint8)

Pictures = UInt8[np.ndarray, "count height width channels"]


def as_bytes(unit: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Numbers in [0, 1] as bytes."""
    return np.clip(np.round(255 * np.asarray(unit)), 0, 255).astype(np.uint8)


def strips(frames: UInt8[np.ndarray, "frames chains height width channels"], title: str) -> Images:
    """A picture for each chain: its frames from left to right, a grey line between."""
    framed = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0)), constant_values=128)
    count, chains, height, width, channels = framed.shape
    return Images(framed.transpose(1, 2, 0, 3, 4).reshape(chains, height, count * width, channels), (), title)


def histograms(energies: Mapping[str, Float[np.ndarray, " _"]], label: str, title: str) -> Curves:
    """The share of each kind in bins that all have in common."""
    kinds = {name: np.asarray(values)[np.isfinite(values)] for name, values in energies.items()}
    kinds = {name: values for name, values in kinds.items() if len(values)}
    joined: np.ndarray = np.concatenate(list(kinds.values())) if kinds else np.zeros(1)
    low, high = float(np.min(joined)), float(np.max(joined))
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in kinds.values()]
    middles = (edges[1:] + edges[:-1]) / 2
    return Curves(middles, np.reshape(shares, (len(kinds), BINS)), tuple(kinds), label, "share", title)


def grid(low: float, high: float) -> tuple[Float[np.ndarray, "points 2"], tuple[str, ...]]:
    """The points of a square grid, row 0 on top, and the names of its columns."""
    ticks = np.linspace(low, high, GRID)
    x, y = np.meshgrid(ticks, ticks[::-1])
    return np.stack([x, y], -1).reshape(-1, 2).astype(np.float32), tuple(f"{tick:.1f}" for tick in ticks)


def landscape(
    energy: Callable[[Float[np.ndarray, "points 2"]], Float[np.ndarray, " points"]], low: float, high: float, title: str
) -> HeatMap:
    """Energies over a square, less their mean: what is below it is likely."""
    points, names = grid(low, high)
    values = np.asarray(energy(points)).reshape(GRID, GRID)
    return HeatMap(values - values.mean(), names[::-1], names, "x1", "x2", title)


def over_landscape(
    heat: HeatMap,
    points: Float[np.ndarray, "points 2"],
    labels: Int[np.ndarray, " points"],
    low: float,
    high: float,
    title: str,
) -> Images:
    """A picture of the landscape, low energies light, with points in the colours of their classes."""
    ranks = np.argsort(np.argsort(-heat.values, axis=None)).reshape(heat.values.shape) / max(heat.values.size - 1, 1)
    grey = as_bytes(0.35 + 0.65 * ranks).repeat(_PIXELS, 0).repeat(_PIXELS, 1)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    side = len(picture)
    places = np.round((points - low) / (high - low) * (side - 1)).astype(int)
    inside = ((places >= 1) & (places < side - 1)).all(1)
    for right in (-1, 0, 1):
        for down in (-1, 0, 1):
            rows, columns = side - 1 - places[inside, 1] + down, places[inside, 0] + right
            picture[rows, columns] = _COLOURS[labels[inside] % len(_COLOURS)]
    return Images(picture[None], (), title)
