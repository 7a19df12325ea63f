"""Bytes and back, rows of pictures, ways through noise, dots in the plane."""

import jax.numpy as jnp
import numpy as np

from dlvr_jax.tasks.shown.generated import as_bytes, as_signed, scattered, side_by_side, slerp


def test_bytes_come_back_and_span_the_range() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    signed = as_signed(jnp.asarray(every))
    assert float(signed.min()) == -1 and float(signed.max()) == 1
    np.testing.assert_array_equal(as_bytes(signed), every)
    assert as_bytes(np.array([-3.0, 3.0], np.float32).reshape(1, 1, 2, 1)).ravel().tolist() == [0, 255]


def test_pictures_stand_side_by_side() -> None:
    images = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3, 1)
    rows = side_by_side(images, 2)
    assert rows.shape == (2, 2, 6, 1)
    np.testing.assert_array_equal(rows[1, :, :3], images[2])
    np.testing.assert_array_equal(rows[1, :, 3:], images[3])


def test_great_circles_begin_end_and_keep_their_length() -> None:
    start, end = np.random.default_rng(0).normal(size=(2, 5, 64)).astype(np.float32)
    end *= np.linalg.norm(start, axis=1, keepdims=True) / np.linalg.norm(end, axis=1, keepdims=True)
    ways = slerp(start, end, 7)
    np.testing.assert_allclose(ways[:, 0], start, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ways[:, -1], end, rtol=1e-4, atol=1e-6)
    lengths = np.linalg.norm(ways, axis=2)
    np.testing.assert_allclose(lengths, lengths[:, :1].repeat(7, 1), rtol=1e-4)
    assert np.isfinite(slerp(start, start, 3)).all()


def test_dots_lie_where_the_points_are() -> None:
    first = np.array([[1.0, 1.0], [-1.0, -1.0]], np.float32)
    pictures = scattered([first, np.array([[50.0, 0.0]], np.float32)], side=40)
    dark = np.argwhere(pictures[0, ..., 0] < 255)
    assert {(int(row) < 20, int(column) < 20) for row, column in dark} == {(True, False), (False, True)}
    assert (pictures[1] == 255).all()  # far outside
