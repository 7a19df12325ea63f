"""How well a model predicts a text. Cross-entropies are in nats; perplexity and bits say the same in other units."""

import math
import sys
from collections.abc import Mapping
from typing import Any

_LARGEST = math.log(sys.float_info.max)  # its exponential is the largest number that there is


def perplexity(nats: float) -> float:
    """exp of the mean cross-entropy of a token: as many equally likely tokens would be as hard to tell."""
    return math.exp(nats) if nats < _LARGEST else math.inf


def bits_per_unit(nats: float, units: float) -> float:
    """Bits for each character or byte, where a token costs `nats` and has `units` of them on average.

    Unlike perplexity it compares models with different tokens.
    """
    return nats / math.log(2) / units if units > 0 else math.inf


def finish_language(sums: Mapping[str, tuple[Any, Any]]) -> dict[str, float]:
    """loss (nats a token), perplexity, bits_per_character, bits_per_byte, accuracy.

    Of ratios by token: "loss", "accuracy", "characters" and "bytes" (how many of them a target has).
    """
    loss, accuracy, characters, of_bytes = (
        float(numerator / denominator)
        for numerator, denominator in (sums[name] for name in ("loss", "accuracy", "characters", "bytes"))
    )
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "bits_per_character": bits_per_unit(loss, characters),
        "bits_per_byte": bits_per_unit(loss, of_bytes),
        "accuracy": accuracy,
    }
