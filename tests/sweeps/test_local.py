"""How workers on one machine share its GPUs."""

import pytest

from dlvr_jax.sweeps.engines.local import gpus, shares


def test_each_worker_has_gpus_of_its_own_or_a_part_of_one() -> None:
    def told(workers: int, devices: str) -> list[tuple[str, float]]:
        found = shares(workers, devices.split())
        return [(own["CUDA_VISIBLE_DEVICES"], float(own["XLA_PYTHON_CLIENT_MEM_FRACTION"])) for own in found]

    assert told(1, "0 1") == [("0,1", 0.9)]
    assert told(2, "0 1 2") == [("0,2", 0.9), ("1", 0.9)]
    assert told(3, "0 1") == [("0", 0.45), ("1", 0.9), ("0", 0.45)]
    assert shares(2, []) == [{}, {}]


def test_gpus_are_those_that_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    assert gpus() == ["3", "GPU-5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
