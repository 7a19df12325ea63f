"""Which changes of the environment are told."""

from dlvr_jax.guarantee import differences


def environment(platform: str, count: int) -> dict[str, dict[str, object]]:
    return {"device": {"platform": platform, "count": count}, "cpu": {"threads": 2}}


def test_cpu_devices_count_only_where_they_are_more_than_the_threads() -> None:
    assert differences(environment("cpu", 2), environment("cpu", 1)) == []
    assert differences(environment("cpu", 2), environment("cpu", 4)) == ["device.count: 2, now 4"]
    assert differences(environment("gpu", 2), environment("gpu", 1)) == ["device.count: 2, now 1"]
