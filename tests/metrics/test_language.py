"""Perplexity and bits by their closed forms."""

import math

import numpy as np
import pytest

from dlvr_jax.metrics.language import bits_per_unit, finish_language, perplexity


@pytest.mark.parametrize("size", [1, 2, 67])
def test_guessing_has_the_perplexity_of_the_alphabet(size: int) -> None:
    assert perplexity(math.log(size)) == pytest.approx(size)
    assert bits_per_unit(math.log(size), 1) == pytest.approx(math.log2(size))


def test_bits_are_shared_among_the_characters_of_a_token() -> None:
    assert bits_per_unit(math.log(8), 3) == pytest.approx(1)


def test_what_has_no_number_is_infinite() -> None:
    assert perplexity(1e4) == math.inf
    assert bits_per_unit(1.0, 0) == math.inf


def test_sums_become_metrics() -> None:
    values = {"loss": (math.log(4) * 10, 10), "accuracy": (7, 10), "characters": (20, 10), "bytes": (40, 10)}
    sums = {name: (np.float64(numerator), np.float64(count)) for name, (numerator, count) in values.items()}
    found = finish_language(sums)
    assert found["perplexity"] == pytest.approx(4)
    assert (found["bits_per_character"], found["bits_per_byte"]) == (pytest.approx(1), pytest.approx(0.5))
    assert found["accuracy"] == 0.7
