"""English to German: everyday sentences out of the examples of the Ding dictionary (Frank Richter, GPL-2 or later).

https://dict.tu-chemnitz.de. The texts become subwords (byte-pair encoding, learned on the train split of each
language), so that no word is unknown and BLEU is of real text.
"""

import re
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.cache import make_once, read_text_checked, write_text_checked
from dlvr_jax.data.fetch import File, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.pairs import SPECIALS, LearnedLater, Pair, by_split, encode, features
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Source, Spec
from dlvr_jax.data.subwords import RECIPE as SUBWORDS
from dlvr_jax.data.subwords import learn_subwords
from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.runtime import cache_folder
from dlvr_jax.schema import Between

SPLITS = {
    8: {"train": 8269, "validation": 1042, "test": 1032},
    12: {"train": 12439, "validation": 1557, "test": 1540},
}

_FILE = "pairs.tsv"
_RECIPE = 1  # to be raised when `parse` changes: what was made before is not found any more
_FOLDER = "usr/share/trans"
_ORIGIN = Origin(
    name="en_de",
    files=(File("de-en", "34052c6021d09eadfee7a893a789204265954df70fe9c36d38fa00058d79d326"),),
    folders=(Path("/") / _FOLDER,),
    package=Package("apt", "trans-de-en", folder=_FOLDER),
)
_NOTES = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]|<[^<>]*>|\([^()]*\)")  # grammar, field, cross-reference, remark
_NO_SENTENCES = ("/", "...", "sth.", "sb.", "etw.", "jdm.")  # patterns with a gap, and choices between words


def en_de(
    *,
    max_words: Literal[8, 12] = 12,
    vocab_size: Annotated[int, Between(2000, 32_000)] = 2000,
    path: str | None = None,
) -> Source:
    """Sentences of 3 to `max_words` words, the first translation of each; split by the English sentence.

    12,439 train, 1,557 validation and 1,540 test pairs up to 12 words. `path` names the file `de-en` or its folder.
    """
    check_path(_ORIGIN, path)
    room = 3 * max_words + 6  # subwords and punctuation marks: fits from a vocabulary of 2,000 on
    recipes = f"{_RECIPE}_{SUBWORDS}"
    by = f"{vocab_size}_by_tokenizers_{version('tokenizers')}_{recipes}"  # others may learn others
    english, german = (
        LearnedLater(vocab_size, f"en_de {max_words} {side} {by}", partial(_learn, path, max_words, side, vocab_size))
        for side in (0, 1)
    )
    spec = Spec(
        name="en_de",
        features=features(room, room),
        splits=SPLITS[max_words],
        tokenizer=english,
        target_tokenizer=german,
    )
    return Prepared(
        spec, read=partial(_read, path, max_words, english, german, room), variant=f"words_{max_words}_of_{by}"
    )


def parse(text: str) -> list[Pair]:
    """The sentence pairs, sorted by the English one, of lines `German | German :: English | English`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        german, separator, english = line.partition("::")
        parts = german.split("|"), english.split("|")
        if separator and not line.startswith("#") and len(parts[0]) == len(parts[1]):
            for pair in zip(map(_bare, parts[1]), map(_bare, parts[0]), strict=True):
                if _are_sentences(*pair):
                    found.setdefault(*pair)
    return sorted(found.items())


def _bare(part: str) -> str:
    """Without notes and without what follows a semicolon; blanks squeezed."""
    return " ".join(_NOTES.sub("", part).split(";")[0].split())


def _are_sentences(english: str, german: str) -> bool:
    ended = english.endswith((".", "?", "!")) and german.endswith((".", "?", "!"))
    return ended and len(english.split()) >= 3 and not any(sign in english + "\n" + german for sign in _NO_SENTENCES)


def _pairs(path: str | None, max_words: int) -> Iterator[Pair]:
    """From the cache, where they are kept as lines "English TAB German"."""

    def write(folder: Path) -> None:
        pairs = parse(fetch(_ORIGIN, path)["de-en"].decode())
        write_text_checked(folder / _FILE, "".join(f"{english}\t{german}\n" for english, german in pairs))

    folder = make_once(cache_folder() / "pairs" / f"en_de-{_RECIPE}", write)
    for line in read_text_checked(folder / _FILE).splitlines():
        english, german = line.split("\t")
        if max(len(english.split()), len(german.split())) <= max_words:
            yield english, german


def _learn(path: str | None, max_words: int, side: int, vocab_size: int) -> Tokenizer:
    train = by_split(_pairs(path, max_words))["train"]
    return learn_subwords("\n".join(pair[side] for pair in train), "bpe", vocab_size - len(SPECIALS))


def _read(path: str | None, max_words: int, english: Tokenizer, german: Tokenizer, room: int) -> dict[str, Arrays]:
    splits = by_split(_pairs(path, max_words))
    return {split: encode(pairs, english, german, room, room) for split, pairs in splits.items()}
