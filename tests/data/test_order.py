import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlvr_jax.data.order import permutation

SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(0, 1000)


def test_the_order_is_frozen() -> None:
    """These numbers decide every bit of every run: they may never change."""
    np.testing.assert_array_equal(permutation(0, 0, 10), FROZEN[0, 0])
    np.testing.assert_array_equal(permutation(0, 1, 10), FROZEN[0, 1])
    np.testing.assert_array_equal(permutation(7, 3, 10), FROZEN[7, 3])


@given(SEEDS, EPOCHS, st.integers(0, 300))
def test_it_is_a_permutation(seed: int, epoch: int, size: int) -> None:
    order = permutation(seed, epoch, size)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


@given(SEEDS, EPOCHS)
def test_epochs_and_seeds_differ(seed: int, epoch: int) -> None:
    order = permutation(seed, epoch, 50)
    assert (order != permutation(seed, epoch + 1, 50)).any()
    assert (order != permutation(seed + 1, epoch, 50)).any()


def test_each_example_is_equally_likely_at_each_place() -> None:
    """Counts over 2,000 epochs of 4 places: each within five standard deviations (sqrt(2000 * 3/16) = 19) of 500."""
    orders = np.stack([permutation(1, epoch, 4) for epoch in range(2000)])
    counts = np.stack([np.bincount(orders[:, place], minlength=4) for place in range(4)])
    assert np.abs(counts - 500).max() < 5 * 19.4


def test_negative_seeds_are_seeds_too() -> None:
    assert sorted(permutation(-1, 0, 5)) == [0, 1, 2, 3, 4]


FROZEN = {
    (0, 0): [0, 2, 9, 1, 8, 5, 4, 3, 6, 7],
    (0, 1): [5, 3, 7, 8, 2, 4, 1, 0, 6, 9],
    (7, 3): [2, 5, 9, 7, 3, 0, 6, 8, 4, 1],
}
