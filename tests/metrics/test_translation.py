import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlvr_jax.metrics.translation import bleu, chrf, longer_half, token_error_rate

TEXTS = ["the cat sat on the mat", "it is raining .", "good morning"]
TRUTHS = ["the cat sat on a mat", "it is raining .", "good evening to you"]


def test_bleu_and_chrf_are_those_of_sacrebleus_own_interface() -> None:
    import sacrebleu

    assert bleu(TEXTS, TRUTHS) == pytest.approx(sacrebleu.corpus_bleu(TEXTS, [TRUTHS]).score)
    assert chrf(TEXTS, TRUTHS) == pytest.approx(sacrebleu.corpus_chrf(TEXTS, [TRUTHS]).score)


def test_bleu_is_the_formula_of_the_paper() -> None:
    """Precisions 6/7, 4/6, 2/5, 1/4 of n-grams up to four, and the brevity penalty exp(1 - 8/7)."""
    text, truth = "a b c d x e f", "a b c d e f g h"
    expected = 100 * np.exp(1 - 8 / 7) * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25
    assert bleu([text], [truth]) == pytest.approx(expected)


def test_equal_texts_are_perfect_and_empty_ones_worthless() -> None:
    assert bleu(TRUTHS, TRUTHS) == pytest.approx(100)
    assert chrf(TRUTHS, TRUTHS) == pytest.approx(100)
    assert bleu(["", "", ""], TRUTHS) == 0


@functools.cache
def distance(one: tuple[int, ...], two: tuple[int, ...]) -> int:
    """Levenshtein's, by its definition."""
    if not one or not two:
        return len(one) + len(two)
    changed = distance(one[1:], two[1:]) + (one[0] != two[0])
    return min(changed, distance(one[1:], two) + 1, distance(one, two[1:]) + 1)


ids = st.lists(st.integers(4, 7), max_size=6)


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=4))
def test_the_error_rate_counts_edits(pairs: list[tuple[list[int], list[int]]]) -> None:
    texts, truths = zip(*pairs, strict=True)
    edits = sum(distance(tuple(text), tuple(truth)) for text, truth in pairs)
    assert token_error_rate(texts, truths) == edits / max(sum(map(len, truths)), 1)


def test_the_longer_half() -> None:
    np.testing.assert_array_equal(longer_half(np.array([1, 2, 3, 4])), [False, False, True, True])
    np.testing.assert_array_equal(longer_half(np.array([2, 2, 2])), [True] * 3)
