"""Spans out of tags, against hand cases and a second way of finding them."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.metrics.entities import Counts, count_spans, spans

NAMES = ("O", "B-A", "I-A", "B-B", "I-B")
quick = settings(deadline=None)


def test_spans_by_hand() -> None:
    cases = {
        "": [],
        "O O": [],
        "B-A": [(0, 1, "A")],
        "O B-A I-A O": [(1, 3, "A")],
        "B-A B-A": [(0, 1, "A"), (1, 2, "A")],
        "B-A I-A B-A I-A": [(0, 2, "A"), (2, 4, "A")],
        "I-A I-A O": [(0, 2, "A")],  # as in the shared task's script
        "B-A I-B": [(0, 1, "A"), (1, 2, "B")],
        "I-A I-B I-B O I-B": [(0, 1, "A"), (1, 3, "B"), (4, 5, "B")],
    }
    for tags, expected in cases.items():
        assert spans(tags.split()) == expected, tags


@quick
@given(st.lists(st.sampled_from(NAMES), max_size=12))
def test_spans_are_what_a_regular_expression_finds(tags: list[str]) -> None:
    """A span is a B and its I's, or a run of I's: with one letter a tag."""
    letters = "".join(dict(zip(NAMES, "OaiBJ", strict=True))[tag] for tag in tags)  # a i = type A, B J = type B
    found = re.finditer(r"ai*|i+|BJ*|J+", letters)
    assert spans(tags) == [(m.start(), m.end(), "A" if m[0][0] in "ai" else "B") for m in found]


@quick
@given(st.data())
def test_spans_that_are_written_are_read(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from("AB")), max_size=5))
    tags, expected = [], []
    for gap, length, kind in parts:
        tags += ["O"] * gap
        expected.append((len(tags), len(tags) + length, kind))
        tags += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
    assert spans(tags) == expected


def test_counts_by_hand() -> None:
    """Right: one of A. Wrong: an end, a type, one too many; the last two tags are padding."""
    true = np.array([[1, 2, 0, 3, 0, 0], [0, 1, 0, 0, 1, 1]])
    said = np.array([[1, 2, 0, 1, 0, 0], [0, 1, 2, 1, 3, 3]])
    counts = count_spans(true, said, np.array([6, 4]), NAMES)
    assert counts == {"": Counts(1, 4, 3), "A": Counts(1, 4, 2), "B": Counts(0, 0, 1)}
    assert (counts[""].precision, counts[""].recall) == (1 / 4, 1 / 3)
    np.testing.assert_allclose(counts[""].f1, 2 / 7)


def test_without_spans_nothing_divides_by_zero() -> None:
    assert (Counts(0, 0, 0).precision, Counts(0, 0, 0).recall, Counts(0, 0, 0).f1) == (0, 0, 0)


@quick
@given(st.integers(0, 2**31 - 1))
def test_what_is_predicted_right_scores_one(seed: int) -> None:
    tags = np.random.default_rng(seed).integers(0, 5, (3, 6))
    counts = count_spans(tags, tags, np.array([6, 0, 3]), NAMES)
    assert counts[""].right == counts[""].true == counts[""].predicted == counts["A"].right + counts["B"].right
    beyond = np.where(np.arange(6) < np.array([[6], [0], [3]]), tags, 0)
    assert count_spans(beyond, tags, np.array([6, 0, 3]), NAMES) == counts  # padding counts for nothing
