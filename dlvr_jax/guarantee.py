"""What the bits of a run depend on besides its config, and what can be promised where that changed."""

from collections.abc import Mapping
from typing import Any

from dlvr_jax.config import flatten

EXACT = "bit-identical on the same device, CPU, threads, versions, flags, data, code and form, killed or not"
UNPROVEN = "the same program on the same data; that its bits repeat is proven on CPUs, and not on this device"
DECISIVE = ("versions", "device", "cpu", "flags", "form", "data", "git")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two `environment.json` in what decides the bits: 'versions.jax: 0.10.2, now 0.12.0'.

    Sections that only one of them has are not compared. A CPU's number of devices is passed over where both numbers are
    within the threads: `form` records how many are used, and XLA's pool then has as many threads either way.
    """
    sections = [name for name in DECISIVE if name in before and name in now]
    old, new = (flatten({name: each[name] for name in sections}) for each in (before, now))
    return [
        f"{key}: {old.get(key)}, now {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not (key == "device.count" and all(map(_within_threads, (old, new))))
    ]


def _within_threads(flat: Mapping[str, Any]) -> bool:
    """Whether there are no more devices of a CPU than threads."""
    known = "device.count" in flat and "cpu.threads" in flat
    return known and flat["device.platform"] == "cpu" and flat["device.count"] <= flat["cpu.threads"]


def guarantee(platform: str, resumed: list[list[str]]) -> str:
    """The promise of a run, given where it ran and how its environment differed at each time it was resumed."""
    changes = sorted({change for changes in resumed for change in changes})
    if changes:
        return f"weaker: it was resumed under another environment ({'; '.join(changes)})"
    return EXACT if platform == "cpu" else UNPROVEN
