"""Words as whole numbers: the frequent ones of a train split each have a number, the others one by their shape.

The shape of a rare word says much of what it is: most unknown capitalised words are names. Ids: 0 padding, then the
five kinds of unknown words, then the words by falling frequency.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dlvr_jax.data.cache import make_once, read_text_checked, write_text_checked
from dlvr_jax.data.padding import PADDING
from dlvr_jax.data.tokenizers import Listed
from dlvr_jax.runtime import cache_folder

KINDS = ("<xxx>", "<Xxx>", "<XXX>", "<000>", "<?>")  # lower-case, Capitalised, ALL CAPS, with a digit, other
_FIRST = 1 + len(KINDS)  # the id of the most frequent word
_FILE = "words.txt"
RECIPE = 1  # to be raised when `_write` changes: what was made before is not found any more


@dataclass(frozen=True)
class Words:
    """The `size` - 6 most frequent words of `texts()`; unknown words become one of `KINDS`. A text is split at blanks.

    The list is made when it is first needed and kept in the cache under `name`, which must say all that it depends on:
    tokenizers of equal size and name are equal.
    """

    size: int
    name: str
    texts: Callable[[], Iterable[Sequence[str]]] = field(compare=False, repr=False)  # words of the train split

    def encode(self, text: str) -> list[int]:
        """See Tokenizer."""
        return [self._ids.get(word, 1 + kind(word)) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """See Tokenizer. Padding is left out; ids beyond the list, which a small text leaves, are "<?>"."""
        shown = (*KINDS, *self.words)
        return " ".join(shown[i - 1] if i <= len(shown) else KINDS[-1] for i in map(int, ids) if i != PADDING)

    def stand_in(self) -> Listed:
        """As many made-up words, which need no files."""
        made_up = (f"word{number}" for number in range(_FIRST, self.size))
        return Listed(("<padding>", *KINDS, *made_up), unknown=len(KINDS))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words by falling frequency; of equally frequent ones the first in order of code points."""
        folder = make_once(cache_folder() / "words" / f"{self.name}-{self.size}-{RECIPE}", self._write)
        return tuple(read_text_checked(folder / _FILE).splitlines())

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: _FIRST + place for place, word in enumerate(self.words)}

    def _write(self, folder: Path) -> None:
        counts = Counter(word for text in self.texts() for word in text)
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[: self.size - _FIRST]
        write_text_checked(folder / _FILE, "".join(f"{word}\n" for word in frequent))


def kind(word: str) -> int:
    """Which of `KINDS` a word is by its shape, a number from 0."""
    if any(letter.isdigit() for letter in word):
        return 3
    if not any(letter.isalpha() for letter in word):
        return 4
    if word.islower():
        return 0
    if word.isupper() and len(word) > 1:
        return 2
    return 1 if word[0].isupper() else 4


def split_words(text: str) -> list[str]:
    """Words, with their apostrophes, and punctuation marks: "Don't go, Al!" -> Don't, go, ",", Al, "!"."""
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", text)
