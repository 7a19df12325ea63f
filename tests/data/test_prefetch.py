import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from dlvr_jax.data.batches import Batches, Payload, training_batches
from dlvr_jax.data.builders.made_up import made_up
from dlvr_jax.data.prefetch import payloads


def prefetchers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert not prefetchers()


def numbered(fail_at: int | None = None, resident: bool = True) -> Batches:
    """Batches whose payload is their number; early ones take longer, so that threads overtake each other."""

    def payload(step: int) -> Payload:
        if step == fail_at:
            raise OSError(f"cannot read batch {step}")
        time.sleep(0.002 * (5 - step % 5))
        return {"index": np.array([step], np.int32)}

    return Batches({"image": np.zeros(1)} if resident else {}, payload, None)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 2, 7])
def test_in_order_whatever_the_depth(depth: int, resident: bool) -> None:
    found = [item["index"][0] for item in payloads(numbered(resident=resident), 3, 15, depth=depth)]
    assert found == list(range(3, 15))


def test_several_batches_a_call_are_stacked() -> None:
    batches = training_batches(made_up(), batch_size=6, micro=2, seed=0, backing="stream")
    calls = list(payloads(batches, 4, 10, per_call=3))
    assert [call["image"].shape for call in calls] == [(3, 2, 3, 32, 32, 1)] * 2
    for number, call in enumerate(calls):
        for place in range(3):
            expected = batches.payload(4 + 3 * number + place)
            assert all((call[name][place] == expected[name]).all() for name in expected)


def test_no_batches_is_no_error() -> None:
    assert list(payloads(numbered(), 5, 5)) == []


@pytest.mark.parametrize("resident", [True, False])
def test_an_error_comes_up_at_its_batch(resident: bool) -> None:
    items = payloads(numbered(fail_at=4, resident=resident), 0, 10)
    assert [next(items)["index"][0] for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="cannot read batch 4"):
        next(items)


def test_closing_ends_the_threads() -> None:
    items = payloads(numbered(resident=False), 0, 10**9)
    next(items)
    assert prefetchers()
    items.close()  # type: ignore[attr-defined]
    assert not prefetchers()


def test_calls_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="10 batches do not divide into calls of 3"):
        next(payloads(numbered(), 0, 10, per_call=3))
