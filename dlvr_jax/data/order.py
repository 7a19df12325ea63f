"""The order in which examples are seen: a pure function of (seed, epoch), the same for ever and for every backing."""

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
