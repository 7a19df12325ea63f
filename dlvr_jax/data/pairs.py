"""Pairs of texts as arrays: what data sets of sequence to sequence share.

Both vocabularies begin with the same four ids; a target stands between a begin and an end, a source between neither.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.buckets import split_of
from dlvr_jax.data.padding import PADDING as PADDING  # the first of the four
from dlvr_jax.data.padding import padded
from dlvr_jax.data.sources import SPLITS, Feature
from dlvr_jax.data.tokenizers import Listed, Tokenizer
from dlvr_jax.errors import UserError

BEGIN, END, UNKNOWN = range(PADDING + 1, 4)
SPECIALS = ("<padding>", "<begin>", "<end>", "<unknown>")

WORDS = r"\w+|[^\w\s]"  # words and punctuation marks

Pair = tuple[str, str]  # source and target


@dataclass(frozen=True)
class LearnedLater:
    """Another tokenizer's ids behind the special ones; it is asked for when it is first needed.

    So a data set's spec is known without its data. `name` says all that `learn` depends on but `size`: equal names and
    sizes make equal tokenizers.
    """

    size: int  # at least the other's and the special ones'
    name: str
    learn: Callable[[], Tokenizer] = field(compare=False, repr=False)

    def encode(self, text: str) -> list[int]:
        """See Tokenizer."""
        return [len(SPECIALS) + i for i in self._learned.encode(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """See Tokenizer. A special one alone is its name, among others it is left out, as are ids of no token."""
        ids = list(ids)
        if len(ids) == 1 and ids[0] < len(SPECIALS):
            return SPECIALS[ids[0]]
        return self._learned.decode(i - len(SPECIALS) for i in ids if 0 <= i - len(SPECIALS) < self._learned.size)

    def stand_in(self) -> Listed:
        """As many made-up words, which need no files."""
        return listed(f"word{number}" for number in range(len(SPECIALS), self.size))

    @cached_property
    def _learned(self) -> Tokenizer:
        return self.learn()


def listed(tokens: Iterable[str], separator: str = " ", pattern: str | None = None) -> Listed:
    """The vocabulary of these tokens, after the special ones."""
    return Listed((*SPECIALS, *tokens), UNKNOWN, separator, pattern)


def features(max_source: int, max_target: int) -> dict[str, Feature]:
    """The features of pairs of at most so many tokens, begin and end not counted."""
    return {
        "source": Feature((max_source,), "int32"),
        "source_length": Feature((), "int32"),
        "target": Feature((max_target + 2,), "int32"),
        "target_length": Feature((), "int32"),
    }


def encode(
    pairs: Sequence[Pair], tokenizer: Tokenizer, target_tokenizer: Tokenizer, max_source: int, max_target: int
) -> Arrays:
    """The arrays of `features`. Raises UserError where a text has more tokens than its array, or none."""
    sources = _fitting([tokenizer.encode(source) for source, _ in pairs], max_source)
    targets = _fitting([target_tokenizer.encode(target) for _, target in pairs], max_target)
    source, source_length = padded(sources, max_source)
    target, target_length = padded([[BEGIN, *ids, END] for ids in targets], max_target + 2)
    return {"source": source, "source_length": source_length, "target": target, "target_length": target_length}


def _fitting(rows: list[list[int]], width: int) -> list[list[int]]:
    """The rows, if all have 1 to `width` ids."""
    wrong = [len(row) for row in rows if not 0 < len(row) <= width]
    if wrong:
        raise UserError(f"a text has {wrong[0]} tokens where 1 to {width} fit")
    return rows


def until_end(ids: Int[np.ndarray, " length"]) -> list[int]:
    """The ids before the first end, without padding and begin."""
    numbers: list[int] = ids.tolist()
    before = numbers[: numbers.index(END)] if END in numbers else numbers
    return [i for i in before if i not in (PADDING, BEGIN)]


def text_of(ids: Int[np.ndarray, " length"], tokenizer: Tokenizer) -> str:
    """The text of the ids before the first end."""
    return tokenizer.decode(until_end(ids))


def by_split(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """The pairs of each split, in order; a source text is a group."""
    parts: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    for pair in pairs:
        parts[split_of(pair[0])].append(pair)
    return parts


def spaced(text: str) -> str:
    """Words and punctuation marks with one blank between: "Who's there?" -> "Who ' s there ?"."""
    return " ".join(re.findall(WORDS, text))


def commonest(texts: Iterable[str], size: int, separator: str) -> tuple[str, ...]:
    """The at most `size` most frequent tokens; of equally frequent ones the first in order of code points."""
    counts = Counter(token for text in texts for token in (text.split(separator) if separator else text))
    return tuple(sorted(counts, key=lambda token: (-counts[token], token))[:size])
