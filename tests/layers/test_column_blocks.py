"""What is laid out by blocks of columns, and back: transposes, and no more to multiply than is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.column_blocks import ColumnBlocks

CASES = {
    "LeNet-5": ColumnBlocks((2, 8, 28, 1), (5, 5, 1, 6), 1, (2, 2)),
    "with a stride": ColumnBlocks((2, 8, 28, 1), (4, 4, 1, 16), 2, (1, 1)),
    "odd": ColumnBlocks((2, 8, 11, 2), (3, 3, 2, 4), 1, (1, 0)),
    "narrower than a block": ColumnBlocks((2, 8, 5, 1), (3, 3, 1, 1), 1, (1, 1)),
    "of unread columns": ColumnBlocks((2, 8, 10, 1), (3, 2, 1, 3), 3, (0, 0)),
}


def normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("blocks", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("part", ["pictures", "kernel", "result"])
def test_back_is_the_transpose_of_forth(blocks: ColumnBlocks, part: str) -> None:
    forth, back = getattr(blocks, f"of_{part}"), getattr(blocks, f"to_{part}")
    width = (blocks.picture[2] + sum(blocks.pad) - blocks.kernel[1]) // blocks.stride + 1
    shapes = {"pictures": blocks.picture, "kernel": blocks.kernel, "result": (2, 8, width, blocks.kernel[3])}
    x = normal(0, shapes[part])
    y = normal(1, forth(x).shape)
    np.testing.assert_allclose(jnp.vdot(forth(x), y), jnp.vdot(x, back(y)), rtol=1e-5)


def test_blocks_are_no_wider_than_the_result() -> None:
    assert CASES["narrower than a block"].columns == 5
    assert ColumnBlocks((2, 8, 4, 1), (3, 3, 1, 1), 2, (0, 1)).columns == 2
    assert ColumnBlocks((2, 8, 3, 1), (5, 5, 1, 1), 1, (0, 0)).columns == 1  # of nothing


def test_windows_of_five_columns_by_blocks_of_four_are_1_6_times_the_work() -> None:
    blocks = CASES["LeNet-5"]
    kernel = blocks.of_kernel(jnp.ones(blocks.kernel))
    assert blocks.columns == 4
    assert kernel.size / kernel.sum() == pytest.approx(1.6)
