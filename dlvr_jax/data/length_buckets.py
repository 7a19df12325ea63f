"""Batches of texts of like length, cut to it: filled up to the longest of all, short texts cost as much as that.

A split's examples are sorted by length into at most a few buckets. Each has an endless sequence of its own epochs, cut
into batches, and in an epoch of the whole split it gets batches in proportion to its examples, in an order shuffled by
a seed that all members of a population share; they differ inside a bucket. All is a pure function of the step.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.order import Permutation, permutation, stretch

# The features that have a length axis, their last, and the feature that counts what is real along it.
LENGTHS = {"tokens": "length", "tags": "length", "source": "source_length", "target": "target_length"}

Widths = tuple[tuple[str, int], ...]  # of features, along their last axis; the others stay as they are
Sizes = tuple[int, ...]  # how many examples each bucket has


def have_lengths(features: Collection[str]) -> bool:
    """Whether examples with these features are of several lengths: texts with a class or tags, and pairs.

    Windows of a text are all of one length, and hold one token more than it says.
    """
    return "source" in features or ("length" in features and not {"label", "tags"}.isdisjoint(features))


@dataclass(frozen=True)
class LengthBuckets:
    """The examples of each bucket, shorter ones first, and how wide their features need be."""

    members: tuple[Int[np.ndarray, " _"], ...]
    widths: tuple[Widths, ...]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], most: int) -> "LengthBuckets":
        """At most `most` of about equal size, of a split's arrays; pairs go by their source.

        Equal lengths go together, so there are fewer where lengths do not differ enough.
        """
        name = "source_length" if "source" in arrays else "length"
        lengths = np.maximum(arrays[name], 1)  # as `_widths` has it
        quantiles = [-(-len(lengths) * part // most) - 1 for part in range(1, most + 1)]
        longest = np.unique(np.sort(lengths)[quantiles])  # of each bucket
        bucket = np.searchsorted(longest, lengths)
        members = tuple(np.flatnonzero(bucket == number) for number in range(len(longest)))
        return cls(members, tuple(_widths(arrays, own) for own in members))

    def order(
        self, batch_size: int, seed: int, shared_seed: int
    ) -> tuple[Callable[[int], Permutation], Callable[[int], Widths]]:
        """The examples of each step, and the widths of their bucket; the latter without `seed`."""
        sizes = tuple(map(len, self.members))

        @lru_cache(maxsize=2 * len(sizes))
        def permuted(bucket: int, epoch: int) -> Permutation:
            order = permutation(seed, _numbered(sizes, epoch, bucket), sizes[bucket])
            return self.members[bucket][order].astype(np.int32)

        def examples(step: int) -> Permutation:
            bucket, number = bucket_of(sizes, batch_size, shared_seed, step)
            first = number * batch_size
            return stretch(partial(permuted, bucket), sizes[bucket], first, first + batch_size)

        return examples, lambda step: self.widths[bucket_of(sizes, batch_size, shared_seed, step)[0]]


def bucket_of(sizes: Sizes, batch_size: int, seed: int, step: int) -> tuple[int, int]:
    """The bucket of batch `step`, and how many batches that bucket has had before."""
    at_most = (step + len(sizes)) * batch_size // sum(sizes) + 2  # epochs: rounding takes less than a batch a bucket
    epoch = bisect_right(range(at_most), step, key=lambda one: sum(_batches_before(sizes, batch_size, one))) - 1
    buckets, numbers = _sequence(sizes, batch_size, seed, epoch)
    place = step - sum(_batches_before(sizes, batch_size, epoch))
    return int(buckets[place]), int(numbers[place])


def _batches_before(sizes: Sizes, batch_size: int, epoch: int) -> tuple[int, ...]:
    """How many batches each bucket has had before an epoch: what its examples so often fill, rounded."""
    return tuple((2 * epoch * size + batch_size) // (2 * batch_size) for size in sizes)


@lru_cache(maxsize=4)
def _sequence(
    sizes: Sizes, batch_size: int, seed: int, epoch: int
) -> tuple[Int[np.ndarray, " batches"], Int[np.ndarray, " batches"]]:
    """Of each batch of an epoch what `bucket_of` says."""
    before, after = (_batches_before(sizes, batch_size, one) for one in (epoch, epoch + 1))
    runs = [np.arange(first, last) for first, last in zip(before, after, strict=True)]
    buckets = np.repeat(np.arange(len(sizes)), [len(run) for run in runs])
    buckets = buckets[permutation(seed, _numbered(sizes, epoch, len(sizes)), len(buckets))]
    numbers = np.empty_like(buckets)
    numbers[np.argsort(buckets, kind="stable")] = np.concatenate(runs)  # a bucket's batches stay in their order
    return buckets, numbers


def _numbered(sizes: Sizes, epoch: int, which: int) -> int:
    """A number of its own for each epoch of each bucket, and behind these for the sequence of buckets."""
    return epoch * (len(sizes) + 1) + which


def _widths(arrays: Mapping[str, np.ndarray], examples: Int[np.ndarray, " examples"]) -> Widths:
    """The greatest length of each feature among these examples, at least 1."""
    return tuple(
        (name, max(int(np.asarray(arrays[length])[examples].max()), 1))
        for name, length in LENGTHS.items()
        if name in arrays
    )
