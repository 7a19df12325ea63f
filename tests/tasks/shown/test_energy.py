import numpy as np

from dlvr_jax.tasks.shown.energy import GRID, as_bytes, histograms, landscape, over_landscape, strips


def test_a_strip_holds_a_chains_frames_from_left_to_right() -> None:
    frames = np.arange(3 * 2 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2, 2, 1)
    images = strips(frames, "chains").images
    assert images.shape == (2, 2, 9, 1)
    for chain in range(2):
        for frame in range(3):
            np.testing.assert_array_equal(images[chain, :, 3 * frame : 3 * frame + 2], frames[frame, chain])
    assert (images[:, :, 2::3] == 128).all()


def test_a_landscape_has_its_top_row_at_the_largest_x2() -> None:
    heat = landscape(lambda points: points[:, 0] + 10 * points[:, 1], -1.0, 3.0, "")
    assert heat.values.shape == (GRID, GRID)
    assert heat.values.argmax() == GRID - 1 and heat.values.argmin() == GRID * (GRID - 1)
    assert (heat.column_names[0], heat.column_names[-1], heat.row_names[0]) == ("-1.0", "3.0", "3.0")


def test_points_are_drawn_where_they_are_and_low_energies_light() -> None:
    heat = landscape(lambda points: points[:, 0], 0.0, 1.0, "")
    picture = over_landscape(heat, np.array([[0.5, 0.9], [7.0, 0.5]]), np.array([1, 0]), 0.0, 1.0, "").images[0]
    coloured = np.argwhere((picture != picture[..., :1]).any(-1))
    assert len(coloured) == 9
    np.testing.assert_allclose(coloured.mean(0) / (len(picture) - 1), [0.1, 0.5], atol=0.01)
    assert picture[0, 0, 0] > picture[0, -1, 0]


def test_histograms_share_their_bins_and_leave_out_what_is_not_finite() -> None:
    curves = histograms({"a": np.array([0.0, 1.0, np.nan]), "b": np.array([2.0, 2.0])}, "energy", "")
    np.testing.assert_allclose(curves.y.sum(1), 1)
    assert curves.names == ("a", "b") and curves.y[1, -1] == 1
    np.testing.assert_allclose(histograms({"a": np.ones(3)}, "energy", "").y.sum(), 1)


def test_bytes_are_rounded_and_cut_off() -> None:
    np.testing.assert_array_equal(as_bytes(np.array([-1.0, 0.0, 0.5, 1.0, 2.0])), [0, 0, 128, 255, 255])
