"""Which changes of the environment are told."""

from pathlib import Path

import pytest

from dlvr_jax.guarantee import differences
from dlvr_jax.run import Run
from tests.end_to_end.conftest import TINY, run_verb


def environment(platform: str, count: int) -> dict[str, dict[str, object]]:
    return {"device": {"platform": platform, "count": count}, "cpu": {"threads": 2}}


def test_cpu_devices_count_only_where_they_are_more_than_the_threads() -> None:
    assert differences(environment("cpu", 2), environment("cpu", 1)) == []
    assert differences(environment("cpu", 2), environment("cpu", 4)) == ["device.count: 2, now 4"]
    assert differences(environment("gpu", 2), environment("gpu", 1)) == ["device.count: 2, now 1"]


@pytest.mark.slow
def test_bits_do_not_depend_on_how_many_cpu_devices_within_the_threads_are_at_hand(tmp_path: Path) -> None:
    digests = []
    for count in ("1", "2"):
        here = {"NPROC": "2", "JAX_NUM_CPU_DEVICES": count, "XLA_FLAGS": ""}
        done = run_verb("train", TINY, "--workdir", tmp_path / count, env=here)
        assert done.returncode == 0, done.stderr
        run = Run(tmp_path / count)
        assert run.environment["device"]["count"] == int(count)
        digests.append((run.summary() or {})["params_sha256"])
    assert digests[0] == digests[1]
