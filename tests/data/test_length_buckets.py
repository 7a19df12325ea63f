"""Length buckets: the arithmetic for any lengths, and the batches that follow from it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.data.batches import Batches, of_members, training_batches
from dlvr_jax.data.builders.made_up import made_up
from dlvr_jax.data.length_buckets import LengthBuckets, bucket_of, have_lengths

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=60)
MOST = st.integers(1, 4)
BATCH = st.integers(1, 50)
SEED = st.integers(0, 2**32 - 1)
KINDS = ("brown_names", "reviews", "reversal")  # tags, classes, pairs


def arrays_of(lengths: list[int]) -> dict[str, np.ndarray]:
    length = np.array(lengths, np.int32)
    tokens = (np.arange(13) < length[:, None]).astype(np.int32)
    return {"tokens": tokens, "length": length, "label": np.zeros(len(lengths), np.int32)}


def batches_of(like: str, seed: int = 0, **given) -> Batches:
    return training_batches(made_up(like=like), batch_size=6, seed=seed, length_buckets=4, **given)


@given(lengths=LENGTHS, most=MOST)
def test_buckets_part_the_examples_by_length(lengths: list[int], most: int) -> None:
    buckets = LengthBuckets.of(arrays_of(lengths), most)
    np.testing.assert_array_equal(np.sort(np.concatenate(buckets.members)), np.arange(len(lengths)))
    own = [np.array(lengths)[members] for members in buckets.members]
    assert 1 <= len(own) == len(buckets.widths) <= min(most, len(set(lengths)))
    for shorter, longer in pairwise(own):
        assert shorter.max() < longer.min()
    assert buckets.widths == tuple((("tokens", max(lengths.max(), 1)),) for lengths in own)


@given(size=st.integers(4, 200), most=MOST)
def test_where_lengths_differ_buckets_are_of_equal_size(size: int, most: int) -> None:
    sizes = [len(members) for members in LengthBuckets.of(arrays_of(list(range(1, size + 1))), most).members]
    assert len(sizes) == most and max(sizes) - min(sizes) <= 1


@given(lengths=LENGTHS, most=MOST, batch_size=BATCH, seed=SEED, shared=SEED)
def test_each_pass_of_a_bucket_sees_each_of_its_examples_once(
    lengths: list[int], most: int, batch_size: int, seed: int, shared: int
) -> None:
    buckets = LengthBuckets.of(arrays_of(lengths), most)
    examples, widths = buckets.order(batch_size, seed, shared)
    seen: dict = {own: [] for own in buckets.widths}
    for step in range(3 * len(lengths) // batch_size + 4):
        assert len(examples(step)) == batch_size
        seen[widths(step)] += examples(step).tolist()
    for members, own in zip(buckets.members, seen.values(), strict=True):
        for first in range(0, len(own), len(members)):
            once = own[first : first + len(members)]
            assert len(set(once)) == len(once) and set(once) <= set(members.tolist())


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4).map(tuple), batch_size=BATCH, seed=SEED)
def test_after_each_epoch_each_bucket_has_had_its_share_of_the_batches(
    sizes: tuple[int, ...], batch_size: int, seed: int
) -> None:
    steps = 5 * sum(sizes) // batch_size + 5
    places = [bucket_of(sizes, batch_size, seed, step) for step in range(steps)]
    for bucket, size in enumerate(sizes):
        numbers = [number for own, number in places if own == bucket]
        assert numbers == list(range(len(numbers)))
        # In an epoch under way all of its batches may be of other buckets, or of this one.
        assert abs(len(numbers) - steps * size / sum(sizes)) <= size / batch_size + len(sizes) + 1


@given(lengths=LENGTHS, batch_size=BATCH, seeds=st.tuples(SEED, SEED), shared=SEED, step=st.integers(0, 10**6))
def test_a_step_follows_from_its_number_and_its_widths_from_the_shared_seed(
    lengths: list[int], batch_size: int, seeds: tuple[int, int], shared: int, step: int
) -> None:
    orders = [LengthBuckets.of(arrays_of(lengths), 3).order(batch_size, seed, shared) for seed in (*seeds, seeds[0])]
    orders[0][0](step // 2)  # asked before, which changes nothing
    assert orders[0][1](step) == orders[1][1](step)
    np.testing.assert_array_equal(orders[0][0](step), orders[2][0](step))


def test_members_share_the_sequence_and_differ_inside_a_bucket() -> None:
    members = [batches_of("reviews", seed) for seed in (0, 1)]
    together = of_members(members)
    for step in range(12):
        assert together.widths(step) == members[0].widths(step) == members[1].widths(step)
    assert any((members[0].payload(step)["index"] != members[1].payload(step)["index"]).any() for step in range(12))


@pytest.mark.parametrize("like", KINDS)
@settings(max_examples=10)
@given(step=st.integers(0, 200), micro=st.sampled_from([None, 2]))
def test_nothing_real_is_cut_off_and_backings_agree(like: str, step: int, micro: int | None) -> None:
    resident, stream = (batches_of(like, micro=micro, backing=backing) for backing in ("resident", "stream"))
    batch, streamed = resident[step], stream[step]
    assert not stream.resident and resident.widths(step) == stream.widths(step)
    whole = made_up(like=like).arrays("train")
    for name, array in whole.items():
        np.testing.assert_array_equal(batch[name], streamed[name])
        rows = array[batch["index"]]
        if array.ndim > 1:
            kept = batch[name].shape[-1]
            np.testing.assert_array_equal(batch[name], rows[..., :kept])
            assert not rows[..., kept:].any()
    assert dict(resident.widths(step)).keys() == {name for name, array in whole.items() if array.ndim > 1}


def test_windows_of_a_text_and_images_have_no_lengths() -> None:
    assert all(have_lengths(made_up(like=like).spec.features) for like in KINDS)
    assert not any(have_lengths(made_up(like=like).spec.features) for like in ("shakespeare_1m", "digits", "births"))
