"""Payloads ahead of time: threads ask for the next few batches, which random access makes safe and exact."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from dlvr_jax.data.batches import Batches, Payload

_READERS = 4  # threads for a streamed set, whose reading waits for the disk


def payloads(
    batches: Batches, first: int, last: int, *, per_call: int = 1, depth: int = 2
) -> Generator[Payload, None, None]:
    """The payloads of batches `first` .. `last` - 1 in order, `depth` of them asked for ahead.

    With `per_call` = k > 1 each item is k payloads stacked on a new leading axis; the count must be a multiple of k.
    An error in a thread is raised here, at its batch. Closing the generator ends the threads.
    """
    if (last - first) % per_call:
        raise ValueError(f"{last - first} batches do not divide into calls of {per_call}")
    starts = iter(range(first, last, per_call))
    waiting: deque[Future[Payload]] = deque()
    pool = ThreadPoolExecutor(1 if batches.resident else _READERS, thread_name_prefix="prefetch")
    try:
        for start in starts:
            waiting.append(pool.submit(_stacked, batches, start, per_call))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _stacked(batches: Batches, start: int, per_call: int) -> Payload:
    if per_call == 1:
        return batches.payload(start)
    parts = [batches.payload(step) for step in range(start, start + per_call)]
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}
