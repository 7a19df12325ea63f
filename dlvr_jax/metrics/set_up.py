"""What figures such as FID rest on, as numbers beside them: network, images, counts. Unlike ones do not compare."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlvr_jax.metrics.features import FeatureNet, Pictures

PREFIX = "set_up/"
_HASHES = ("network", "real", "training")  # of what the numbers are the first 48 bits of a SHA-256
_DIGITS = 12  # of such a number, hexadecimal

SetUp = dict[str, float]


def set_up(net: FeatureNet, real: Pictures, generated: Pictures, training: Pictures | None = None) -> SetUp:
    """The network and the images (the first 48 bits of their SHA-256), the network's test accuracy where it is known,
    the counts of examples; names begin with "set_up/".
    """
    accuracy = net.about.test_accuracy
    found = {
        "network": _number(net.digest),
        **({} if accuracy is None else {"accuracy": accuracy}),
        "real": _number(_digest(real)),
        "real_count": float(len(real)),
        "generated_count": float(len(generated)),
    }
    if training is not None:
        found |= {"training": _number(_digest(training)), "training_count": float(len(training))}
    return {PREFIX + name: value for name, value in found.items()}


def recorded(metrics: Mapping[str, Any], split: str = "") -> SetUp:
    """The set-up among metrics whose names begin with `split`, without that; nothing where none was recorded."""
    start = split + PREFIX
    return {name.removeprefix(start): value for name, value in metrics.items() if name.startswith(start)}


def unlike(first: SetUp, second: SetUp) -> list[str]:
    """In words what differs of what both have: 'network (0123456789ab and ba9876543210)'."""
    return [
        f"{name.replace('_', ' ')} ({_written(name, first[name])} and {_written(name, second[name])})"
        for name in first
        if name in second and first[name] != second[name]
    ]


def described(net: FeatureNet) -> dict[str, str | float]:
    """The network in words; what its file does not say is left out."""
    about = net.about
    words = {
        "network": about.model,
        "file": net.path,
        "sha256": net.digest,
        "config": about.config,
        "trained_on": about.data,
        "test_accuracy": about.test_accuracy,
    }
    return {name: value for name, value in words.items() if value is not None}


def in_words(net: FeatureNet, found: SetUp, data: str, split: str) -> dict[str, str | float]:
    """A recorded set-up as a result file keeps it: the network described, hashes hexadecimal, counts whole."""
    own = {name: value for name, value in found.items() if name not in ("network", "accuracy")}
    images = {name: _written(name, value) if name in _HASHES else int(value) for name, value in own.items()}
    return {**described(net), "data": data, "split": split, **images}


def is_of(net: FeatureNet, found: SetUp) -> bool:
    """Whether this is the network of a recorded set-up."""
    return found["network"] == _number(net.digest)


def _digest(images: Pictures) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def _number(digest: str) -> float:
    return float(int(digest[:_DIGITS], 16))


def _written(name: str, value: float) -> str:
    return f"{int(value):0{_DIGITS}x}" if name in _HASHES else f"{value:g}"
