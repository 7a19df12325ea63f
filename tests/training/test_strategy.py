"""Which forms of a population are tried."""

from collections.abc import Callable

import jax
import pytest

from dlvr_jax.training import strategy
from dlvr_jax.training.strategy import MOST_UNROLLED, Form, fastest, forms, measure
from tests.configs import tiny


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


def measured(monkeypatch: pytest.MonkeyPatch, too_large: Callable[[str], bool]) -> set[str]:
    """Which of three forms are left where some run out of memory."""

    def step(one, *_) -> Callable[[], float]:
        if too_large(one.strategy):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return lambda: 1.0

    monkeypatch.setattr(strategy, "_step", step)
    two = tiny("configs/cnn/lenet5_digits.py", population__size="2")
    return {str(form) for form in measure(two.population_of, forms(2, 1, 1), 1, None, two.training_batches())}


def test_a_form_that_needs_too_much_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, lambda name: name == "map") == {"vmap", "unroll"}
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        measured(monkeypatch, lambda name: True)
