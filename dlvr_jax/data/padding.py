"""Rows of ids of one width: shorter ones are filled up with an id that stands for nothing."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

PADDING = 0


def padded(
    rows: Sequence[Sequence[int]], width: int
) -> tuple[Int32[np.ndarray, "rows width"], Int32[np.ndarray, " rows"]]:
    """The first `width` ids of each row, filled up with padding, and how many there are."""
    ids = np.full((len(rows), width), PADDING, np.int32)
    for number, row in enumerate(rows):
        ids[number, : min(len(row), width)] = row[:width]
    return ids, np.array([min(len(row), width) for row in rows], np.int32)
