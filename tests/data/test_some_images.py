"""Some images of a split."""

import numpy as np
import pytest

from dlvr_jax.data.some_images import some_images
from dlvr_jax.data.sources import Feature, InMemory, Spec


@pytest.mark.parametrize(("most", "chosen"), [(3, [0, 3, 6]), (10, range(10)), (99, range(10))])
def test_they_are_spread_over_the_split(most: int, chosen: list[int]) -> None:
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    source = InMemory(
        Spec("made", {"image": Feature((1, 1, 1), "uint8")}, {"train": 10}), lambda split: {"image": images}
    )
    assert some_images(source, "train", most).ravel().tolist() == list(chosen)
