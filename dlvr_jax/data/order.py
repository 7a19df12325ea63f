"""The order in which examples are seen: a pure function of (seed, epoch), the same for ever and for every backing."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int32

Permutation = Int32[np.ndarray, " size"]


def permutation(seed: int, epoch: int, size: int) -> Permutation:
    """A random order of 0 .. size - 1: the ranks of raw 64-bit words of Philox (Salmon et al. 2011), key (seed, epoch).

    Not `Generator.permutation`: numpy keeps the words of a bit generator, but may change what it makes of them.
    """
    key = np.array([seed % 2**64, epoch % 2**64], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(size)
    return np.argsort(words, kind="stable").astype(np.int32)


def stretch(order: Callable[[int], Permutation], size: int, first: int, last: int) -> Permutation:
    """Positions first .. last - 1 of the endless sequence of epochs of this size, each in its order."""
    epochs = range(first // size, (last - 1) // size + 1)
    parts = [order(epoch)[max(first - epoch * size, 0) : last - epoch * size] for epoch in epochs]
    return np.concatenate(parts)
