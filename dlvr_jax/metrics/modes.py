"""Whether generated points find every cluster of the real ones: the usual test of a GAN in the plane."""

import numpy as np
from jaxtyping import Bool, Float, Int

_REACH = 3.0  # standard deviations within which a point is a good one
_SHARE = 0.1  # of its fair share, that a covered mode gets at least


def mode_metrics(
    real: Float[np.ndarray, "count dims"],
    label: Int[np.ndarray, " count"],
    generated: Float[np.ndarray, "generated dims"],
) -> dict[str, float]:
    """modes_covered, good_fraction, good_fraction_real: of round clusters, which real points' labels name.

    A point is good if it is at most 3 standard deviations (per axis) from the nearest centre: 98.9 % of real points in
    the plane are. A mode is covered if the good points nearest to it are at least a tenth of count / modes. Lin et al.
    2018 (PacGAN), https://arxiv.org/abs/1712.04086, section 4.1, ask for a single one.
    """
    modes = np.unique(label)
    centres = np.stack([real[label == mode].mean(0) for mode in modes]).astype(np.float64)
    own = centres[np.searchsorted(modes, label)]
    deviation = np.sqrt(((real - own) ** 2).mean())
    mode, good = _nearest(generated, centres, deviation)
    counts = np.bincount(mode[good], minlength=len(modes))
    return {
        "modes_covered": float((counts >= max(_SHARE * len(generated) / len(modes), 1)).sum()),
        "good_fraction": float(good.mean()),
        "good_fraction_real": float(_nearest(real, centres, deviation)[1].mean()),
    }


def _nearest(
    points: Float[np.ndarray, "count dims"], centres: Float[np.ndarray, "modes dims"], deviation: float
) -> tuple[Int[np.ndarray, " count"], Bool[np.ndarray, " count"]]:
    """The number of the nearest centre of each point, and whether it is near enough."""
    distances = np.sqrt(((points[:, None].astype(np.float64) - centres) ** 2).sum(-1))
    return distances.argmin(1), distances.min(1) <= _REACH * deviation
