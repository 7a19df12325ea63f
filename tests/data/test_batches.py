from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.data import batches as batches_module
from dlvr_jax.data.batches import Batch, Batches, assemble, evaluation_batches, is_resident, training_batches
from dlvr_jax.data.builders.digits import digits
from dlvr_jax.data.builders.made_up import made_up
from dlvr_jax.data.sources import Source

SIZES = st.integers(1, 40)


def small(size: int) -> Source:
    return made_up(train=size, validation=size, test=size)


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(one[name], other[name])


@given(size=SIZES, batch_size=st.integers(1, 50))
def test_evaluation_sees_each_example_exactly_once(size: int, batch_size: int) -> None:
    batches = evaluation_batches(small(size), "test", batch_size=batch_size)
    assert batches.num_batches is not None
    all_batches = [batches[step] for step in range(batches.num_batches)]
    assert all(batch["image"].shape == (batch_size, 32, 32, 1) for batch in all_batches)
    seen = np.concatenate([batch["index"][batch["mask"]] for batch in all_batches])
    np.testing.assert_array_equal(seen, np.arange(size))
    labels = np.concatenate([batch["label"][batch["mask"]] for batch in all_batches])
    np.testing.assert_array_equal(labels, small(size).arrays("test")["label"])


@given(size=SIZES, batch_size=st.integers(1, 50), seed=st.integers(0, 2**31 - 1))
def test_each_epoch_of_training_sees_each_example_once(size: int, batch_size: int, seed: int) -> None:
    batches = training_batches(small(size), batch_size=batch_size, seed=seed)
    steps = -(-3 * size // batch_size)
    stream = np.concatenate([batches[step]["index"] for step in range(steps)])
    for epoch in range(3):
        np.testing.assert_array_equal(np.sort(stream[epoch * size : (epoch + 1) * size]), np.arange(size))
    assert all(batches[step]["mask"].all() for step in range(steps))
    assert batches.num_batches is None


@given(size=SIZES, rows=st.integers(1, 50))
def test_evaluation_in_streams_sees_each_example_once_and_each_row_its_own_in_order(size: int, rows: int) -> None:
    batches = evaluation_batches(small(size), "test", batch_size=rows, order="streams")
    assert batches.num_batches is not None
    payloads = [batches.payload(step) for step in range(batches.num_batches)]
    index, mask = (np.stack([payload[name] for payload in payloads]) for name in ("index", "mask"))
    np.testing.assert_array_equal(np.sort(index[mask]), np.arange(size))
    for row in range(rows):
        assert (np.diff(index[mask[:, row], row]) == 1).all()
    np.testing.assert_array_equal([payload["reset"].all() for payload in payloads], np.arange(len(payloads)) == 0)


@given(size=SIZES, rows=st.integers(1, 40), step=st.integers(0, 200))
def test_training_in_streams_goes_on_in_each_row_until_its_stretch_ends(size: int, rows: int, step: int) -> None:
    rows = min(size, rows)
    batches = training_batches(small(size), batch_size=rows, seed=0, order="streams")
    now, then = batches.payload(step), batches.payload(step + 1)
    goes_on = ~then["reset"]
    np.testing.assert_array_equal(then["index"][goes_on], now["index"][goes_on] + 1)
    assert then["reset"].all() == ((step + 1) % (size // rows) == 0)
    assert batches.payload(0)["reset"].all() and len(set(now["index"])) == rows


@given(steps=st.lists(st.integers(0, 200), min_size=1, max_size=8), micro=st.sampled_from([None, 1, 2, 3]))
def test_a_batch_depends_on_its_number_alone(steps: list[int], micro: int | None) -> None:
    """So resuming at step n is asking for batches[n], in whatever order, from a fresh object or an old one."""
    source = small(17)
    one = training_batches(source, batch_size=6, micro=micro, seed=5)
    for step in steps:
        assert_equal(one[step], training_batches(source, batch_size=6, micro=micro, seed=5)[step])


def test_the_micro_axis_only_folds_the_batch() -> None:
    flat, folded = (training_batches(small(20), batch_size=8, micro=micro, seed=1)[3] for micro in (None, 4))
    assert folded["image"].shape == (4, 2, 32, 32, 1)
    assert folded["mask"].shape == folded["label"].shape == (4, 2)
    np.testing.assert_array_equal(folded["image"].reshape(8, 32, 32, 1), flat["image"])


@settings(max_examples=20)
@given(step=st.integers(0, 100), micro=st.sampled_from([None, 2]), batch_size=st.sampled_from([2, 10, 32]))
def test_backings_give_equal_bits_from_memory(step: int, micro: int | None, batch_size: int) -> None:
    resident, stream = (
        training_batches(small(21), batch_size=batch_size, micro=micro, seed=0, backing=backing)
        for backing in ("resident", "stream")
    )
    assert resident.resident and not stream.resident
    assert_equal(resident[step], stream[step])


def test_backings_give_equal_bits_from_files() -> None:
    """Digits through mapped arrays, and through array_record files read by several threads at once."""
    source = digits(size=8)
    makers: list[Callable[[str], Batches]] = [
        lambda backing: training_batches(source, batch_size=100, micro=2, seed=3, backing=backing),
        lambda backing: evaluation_batches(source, "validation", batch_size=64, backing=backing),
    ]
    for make in makers:
        resident, stream = make("resident"), make("stream")
        steps = [4, 0, 3, 1, 2, 4, 0]
        with ThreadPoolExecutor(4) as pool:
            for step, streamed in zip(steps, pool.map(stream.__getitem__, steps), strict=True):
                assert_equal(resident[step], streamed)


def test_assembling_inside_a_compiled_step_gives_the_same() -> None:
    batches = training_batches(small(30), batch_size=4, micro=2, seed=0)
    compiled = jax.jit(assemble)(batches.resident, batches.payload(9))
    assert_equal({name: np.asarray(value) for name, value in compiled.items()}, batches[9])


def test_auto_is_resident_up_to_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = small(10).spec  # 10 examples of 32 * 32 + 4 bytes
    assert is_resident(spec, "train", "auto")
    assert not is_resident(spec, "train", "stream")
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 10 * 1028 - 1)
    assert not is_resident(spec, "train", "auto")
    assert is_resident(spec, "train", "resident")


@pytest.mark.parametrize("step", [-1, 2])
def test_a_batch_that_does_not_exist_is_an_index_error(step: int) -> None:
    with pytest.raises(IndexError, match=f"batch {step} of 2"):
        evaluation_batches(small(10), "test", batch_size=5)[step]


def test_a_batch_that_does_not_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size = 7 is not a positive multiple of micro = 2"):
        training_batches(small(10), batch_size=7, micro=2, seed=0)
    with pytest.raises(ValueError, match="not positive"):
        evaluation_batches(small(10), "test", batch_size=0)
