"""What is wrong between keys, alone and together with what is wrong with keys themselves."""

import pytest

from dlvr_jax import check, config
from dlvr_jax.cross_check import cross_faults, steps_of_epochs
from dlvr_jax.errors import UserError

TINY = config.load(config.find("configs/cnn/lenet5_digits.py:tiny"))


def faults(**flags: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        check.complete(TINY, {key.replace("__", "."): text for key, text in flags.items()})
    return caught.value.faults


def test_keys_values_and_what_is_between_them_are_reported_together() -> None:
    found = faults(
        train__stepz="3",
        train__keep="0",
        train__accumulate="3",
        optimizer__warmup_steps="100",
        data__path="/nowhere/at/all",
        data__name="fashion_mnist",
    )
    for part in ("train.stepz", "train.keep = 0", "use 15 or 18", "longer than the run of 16 steps", "/nowhere/at/all"):
        assert [fault for fault in found if part in fault], part
    assert len(found) == 5


def test_batches_split_over_all_devices_of_a_mesh() -> None:
    (fault,) = cross_faults({"mesh.data": 2, "mesh.fsdp": 3, "train.batch_size": 16, "eval.batch_size": 12}, None)
    assert fault == "train.batch_size = 16 does not split over 6 devices; use 12 or 18"
    (fault,) = cross_faults({"mesh.data": 2, "mesh.fsdp": 2, "population.size": 4}, None)
    assert fault == "mesh.fsdp = 2: each member of a population is whole on its device; use mesh.data"
    (fault,) = cross_faults({"mesh.data": None, "mesh.fsdp": 2, "train.batch_size": 16, "eval.batch_size": 12}, None)
    assert fault == "mesh.data: must be a number beside mesh.fsdp = 2"


def test_what_needs_a_wrong_key_is_not_looked_at() -> None:
    assert len(faults(train__batch_size="x", train__steps="x")) == 2


def test_a_warm_up_is_compared_with_epochs_too() -> None:
    flat = {"train.epochs": 1, "train.steps": None, "train.batch_size": 10, "optimizer.warmup_steps": 11}
    assert cross_faults(flat, 100) == ["optimizer.warmup_steps = 11 is longer than the run of 10 steps; shorten it"]
    assert cross_faults(flat, 110) == []
    assert cross_faults(flat, None) == []


def test_nesterov_needs_momentum() -> None:
    flat = {"optimizer.nesterov": True, "optimizer.momentum": None}
    assert cross_faults(flat, None) == ["optimizer.nesterov: is a kind of momentum; give optimizer.momentum too"]
    for other in ({"optimizer.momentum": 0.9}, {"population.vary.optimizer.momentum": (0.8, 0.9)}):
        assert not [fault for fault in cross_faults({**flat, **other}, None) if "nesterov" in fault]
    assert cross_faults({"optimizer.nesterov": True}, None) == []


def test_an_epoch_of_a_gan_counts_the_batches_of_every_update_of_the_critic() -> None:
    flat = {"train.epochs": 3, "train.batch_size": 10, "task.critic_steps": 5}
    assert steps_of_epochs(flat, 101) == 7  # 303 examples, 50 a step


def test_streams_need_an_example_for_each_row() -> None:
    flat = {"data.order": "streams", "train.batch_size": 11}
    assert "has only 10 examples" in cross_faults(flat, 10)[0]
    assert cross_faults(flat, 11) == []
