"""Some images of a split, evenly spread over it, where all of them would take too long."""

import numpy as np
from jaxtyping import UInt8

from dlvr_jax.data.sources import Source


def some_images(source: Source, split: str, most: int) -> UInt8[np.ndarray, "count height width channels"]:
    """At most so many, always the same ones, in the order of the split; all where it has no more."""
    records = source.records(split)
    chosen = np.arange(min(most, len(records))) * len(records) // min(most, len(records))
    return np.asarray(records.read(chosen)["image"])
