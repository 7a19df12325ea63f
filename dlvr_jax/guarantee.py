"""What the bits of a run depend on besides its config, and what can be promised where that changed."""

from collections.abc import Mapping
from typing import Any

from dlvr_jax.config import flatten

EXACT = "bit-identical on the same device, CPU, threads, versions, flags and form, killed or not"
DECISIVE = ("versions", "device", "cpu", "flags", "form")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two `environment.json` in what decides the bits: 'versions.jax: 0.10.2, now 0.12.0'."""
    old, new = (
        {key: value for key, value in flatten(each).items() if key.split(".")[0] in DECISIVE} for each in (before, now)
    )
    return [
        f"{key}: {old.get(key)}, now {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def guarantee(resumed: list[list[str]]) -> str:
    """The promise of a run, given how its environment differed at each time it was resumed."""
    changes = sorted({change for changes in resumed for change in changes})
    return EXACT if not changes else f"weaker: it was resumed under another environment ({'; '.join(changes)})"
