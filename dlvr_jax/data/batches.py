"""Batches by number: `batches[step]` is a pure function of (config, step), so resuming is asking for the next number.

A batch is what the host sends for a step (its payload: indices, mask, and the features when they are streamed) put
together with what lies on the device for the whole run (the resident arrays; none when streaming). Both backings give
the same bits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal

import jax
import numpy as np

from dlvr_jax.data.length_buckets import LengthBuckets, Widths
from dlvr_jax.data.order import Permutation, permutation, stretch
from dlvr_jax.data.sources import Arrays, Source, Spec

Batch = dict[str, Any]
Payload = dict[str, np.ndarray]
Backing = Literal["auto", "resident", "stream"]
Order = Literal["shuffled", "streams"]
RESIDENT_BYTES = 2**30  # the largest split that "auto" keeps on the device
RESIDENT_SHARE = 0.25  # and the largest share of the device's memory


@dataclass(frozen=True)
class Batches:
    """Batch number `step`, from 0, at random.

    `payload(step)` is the host's part, safe in threads: "index" int32 (the example's number in its split), "mask" bool
    (True = a real example, not padding), both with the batch's leading axes, "reset" in streams (True = the row starts
    anew), and the features when streaming.
    `resident` is the whole split, to be an argument of the compiled step. `num_batches` is None for endless training.
    `widths(step)` says to what a step's features are cut, after payload and resident arrays, of full width, are put
    together; there are as many programs as different ones.
    """

    resident: Arrays
    payload: Callable[[int], Payload]
    num_batches: int | None
    widths: Callable[[int], Widths] = lambda step: ()

    def __getitem__(self, step: int) -> Batch:
        if step < 0 or (self.num_batches is not None and step >= self.num_batches):
            raise IndexError(f"batch {step} of {self.num_batches or 'endless training'}")
        return assemble(self.resident, self.payload(step), self.widths(step))


def assemble(resident: Mapping[str, Any], payload: Mapping[str, Any], widths: Widths = ()) -> Batch:
    """The batch: rows of the resident arrays by index, and the payload, cut. Works on numpy and under `jax.jit`."""
    batch = {name: array[payload["index"]] for name, array in resident.items()} | dict(payload)
    return batch | {name: batch[name][..., :width] for name, width in widths}


def training_batches(
    source: Source,
    *,
    batch_size: int,
    micro: int | None = None,
    seed: int,
    order: Order = "shuffled",
    backing: Backing = "auto",
    length_buckets: int | None = None,
    shared_seed: int = 0,
) -> Batches:
    """Endless: the permutations of epoch 0, 1, ... one after the other, cut into batches; one may straddle two epochs.

    Leading axes are (batch_size,), or (micro, batch_size / micro) where `micro` is given. In `streams`, see
    `_training_stream`. `length_buckets`: each batch is of one bucket, see `data/length_buckets.py`, whose sequence
    follows from the shared seed.
    """
    if batch_size < 1 or batch_size % (micro or 1):
        raise ValueError(f"batch_size = {batch_size} is not a positive multiple of micro = {micro}")
    size = source.spec.splits["train"]
    shape = (batch_size,) if micro is None else (micro, batch_size // micro)
    if order == "streams":
        return _backed(source, "train", partial(_training_stream, size, batch_size, shape), None, backing)
    if length_buckets is None:
        return _backed(source, "train", partial(_unmasked, _shuffled(size, batch_size, seed), shape), None, backing)
    buckets = LengthBuckets.of(source.arrays("train"), length_buckets)
    examples, widths = buckets.order(batch_size, seed, shared_seed)
    return replace(_backed(source, "train", partial(_unmasked, examples, shape), None, backing), widths=widths)


def evaluation_batches(
    source: Source, split: str, *, batch_size: int, order: Order = "shuffled", backing: Backing = "auto"
) -> Batches:
    """Every example of the split exactly once, in order; what is missing in the end is example 0, masked.

    In `streams`, row r takes the examples of the r-th of `batch_size` equal stretches, one a batch.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size = {batch_size} is not positive")
    size = source.spec.splits[split]
    if order == "streams":
        length = -(-size // batch_size)
        return _backed(source, split, partial(_evaluation_stream, size, batch_size, length), length, backing)

    def indices(step: int) -> Payload:
        index = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
        mask = index < size
        return {"index": np.where(mask, index, 0).astype(np.int32), "mask": mask}

    return _backed(source, split, indices, -(-size // batch_size), backing)


def of_members(batches: Sequence[Batches]) -> Batches:
    """The batches of a population's members side by side, in front of each batch, over one set of resident arrays."""

    def payload(step: int) -> Payload:
        own = [one.payload(step) for one in batches]
        return {name: np.stack([part[name] for part in own]) for name in own[0]}

    return replace(batches[0], payload=payload)


def _shuffled(size: int, batch_size: int, seed: int) -> Callable[[int], Permutation]:
    """The examples of each step, out of the whole split."""
    permuted = lru_cache(maxsize=2)(lambda epoch: permutation(seed, epoch, size))
    return lambda step: stretch(permuted, size, step * batch_size, (step + 1) * batch_size)


def _unmasked(examples: Callable[[int], Permutation], shape: tuple[int, ...], step: int) -> Payload:
    return {"index": examples(step).reshape(shape), "mask": np.ones(shape, bool)}


def _training_stream(size: int, rows: int, shape: tuple[int, ...], step: int) -> Payload:
    """Row r walks through the r-th of `rows` equal stretches of the split, again and again, in step with the others.

    "reset" (rows,) is true where a stretch begins. Up to rows - 1 examples at the end of the split are never seen.
    """
    length = size // rows
    index = np.arange(rows) * length + step % length
    reset = np.full(shape, step % length == 0)
    return {"index": index.astype(np.int32).reshape(shape), "mask": np.ones(shape, bool), "reset": reset}


def _evaluation_stream(size: int, rows: int, length: int, step: int) -> Payload:
    index = np.arange(rows) * length + step
    mask = index < size
    return {"index": np.where(mask, index, 0).astype(np.int32), "mask": mask, "reset": np.full(rows, step == 0)}


def is_resident(spec: Spec, split: str, backing: Backing) -> bool:
    """Whether the split lies on the device: as told, or for "auto" when it is small in bytes and for the device."""
    if backing != "auto":
        return backing == "resident"
    example = sum(np.dtype(f.dtype).itemsize * int(np.prod(f.shape)) for f in spec.features.values())
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    limit = RESIDENT_BYTES if memory is None else min(RESIDENT_BYTES, int(memory * RESIDENT_SHARE))
    return example * spec.splits[split] <= limit


def _backed(
    source: Source, split: str, indices: Callable[[int], Payload], num_batches: int | None, backing: Backing
) -> Batches:
    if is_resident(source.spec, split, backing):
        return Batches(source.arrays(split), indices, num_batches)
    records = source.records(split)

    def payload(step: int) -> Payload:
        known = indices(step)
        shape = known["index"].shape
        read = records.read(known["index"].ravel())
        return known | {name: rows.reshape(*shape, *rows.shape[1:]) for name, rows in read.items()}

    return Batches({}, payload, num_batches)
