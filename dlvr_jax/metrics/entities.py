"""Spans out of tags, and how many of them are found: the measure of CoNLL-2003 (Tjong Kim Sang & De Meulder 2003).

A tag is "O", or "B-" or "I-" and a type. As in the shared task's script, "I-" begins a span where none of its type is
open, so that every row of tags means something.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

Span = tuple[int, int, str]  # the first place, the one after the last, the type


@dataclass(frozen=True)
class Counts:
    """How many spans are true, are predicted, and are both: right in both ends and in type."""

    right: int
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        """Of the predicted spans, the share that is right; 0 where none is predicted."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Of the true spans, the share that is found; 0 where there is none."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where there are no spans at all."""
        return 2 * self.right / (self.predicted + self.true) if self.predicted + self.true else 0.0


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence, in order."""
    found, start = [], 0
    for place, tag in enumerate([*tags, "O"]):
        before = "O" if place == 0 else tags[place - 1]
        if _ends(before, tag):
            found.append((start, place, before[2:]))
        if tag != "O" and (before == "O" or _ends(before, tag)):
            start = place
    return found


def count_spans(
    true: Int[np.ndarray, "sentences words"],
    predicted: Int[np.ndarray, "sentences words"],
    lengths: Int[np.ndarray, " sentences"],
    names: Sequence[str],
) -> dict[str, Counts]:
    """The counts of each type, and those of all together under "". Tags are numbers of `names`."""
    kinds = sorted({name[2:] for name in names if name != "O"})
    totals = {kind: [0, 0, 0] for kind in ("", *kinds)}
    for row, length in enumerate(lengths):
        gold, guess = (set(spans([names[tag] for tag in tags[row, :length]])) for tags in (true, predicted))
        for place, part in enumerate((gold & guess, guess, gold)):
            _add(totals, place, part)
    return {kind: Counts(*counts) for kind, counts in totals.items()}


def _ends(before: str, tag: str) -> bool:
    """Whether a span that is open at `before` ends there."""
    return before != "O" and (tag == "O" or tag[0] == "B" or tag[2:] != before[2:])


def _add(totals: dict[str, list[int]], place: int, found: Iterable[Span]) -> None:
    for _, _, kind in found:
        totals[kind][place] += 1
        totals[""][place] += 1
