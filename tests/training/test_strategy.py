"""Which forms of a population are tried."""

from dlvr_jax.training.strategy import MOST_UNROLLED, Form, fastest, forms


def test_one_device_and_as_many_as_share_the_members_evenly_are_tried() -> None:
    assert {form.devices for form in forms(8, 1, 4)} == {1, 4}
    assert {form.devices for form in forms(6, 1, 4)} == {1, 3}
    assert {form.devices for form in forms(7, 1, 4)} == {1}
    assert {form.devices for form in forms(8, 2, 4)} == {2}  # the config says how many


def test_not_too_many_members_are_unrolled() -> None:
    size = 2 * MOST_UNROLLED
    assert [str(form) for form in forms(size, 1, 2)] == [
        *("vmap", "map"),
        *("vmap on 2 devices", "map on 2 devices", "unroll on 2 devices"),
    ]


def test_the_least_time_wins() -> None:
    assert fastest({Form("vmap"): 2.0, Form("map", 2): 1.0}) == Form("map", 2)
