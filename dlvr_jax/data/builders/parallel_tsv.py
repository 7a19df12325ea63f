"""Any file of pairs: a line each, source TAB target, in UTF-8. Further columns are not read."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from dlvr_jax.data.pairs import WORDS, Pair, by_split, commonest, encode, features, listed, spaced
from dlvr_jax.data.paths import user_bytes
from dlvr_jax.data.sources import SPLITS, InMemory, Source, Spec
from dlvr_jax.data.text import clean
from dlvr_jax.data.tokenizers import Listed
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between

_LENGTH = Between(1, 1024)


def parallel_tsv(
    *,
    path: str,
    unit: Literal["words", "characters"] = "words",
    max_source: Annotated[int, _LENGTH] = 24,
    max_target: Annotated[int, _LENGTH] = 24,
    vocabulary: Annotated[int, Between(1, 100_000)] = 8000,
) -> Source:
    """The pairs of at most `max_source` and `max_target` tokens, in the file's order; others are left out.

    Tokens are characters, or words and punctuation marks: the `vocabulary` most frequent of the train split, on each
    side; others are unknown. The split follows from the source text (see `buckets`), so that one text is in one split.
    """
    separator = "" if unit == "characters" else " "
    pairs = [pair for pair in _pairs(path, unit) if _fits(pair, separator, max_source, max_target)]
    splits = by_split(pairs)
    for split in SPLITS:
        if not splits[split]:
            raise UserError(
                f"data.path = {path!r}: of its pairs {len(pairs)} are short enough, which leave the {split} split empty"
            )
    tokenizer, target_tokenizer = (_learned(splits["train"], side, vocabulary, separator) for side in (0, 1))
    spec = Spec(
        name=Path(path).stem,
        features=features(max_source, max_target),
        splits={split: len(part) for split, part in splits.items()},
        tokenizer=tokenizer,
        target_tokenizer=target_tokenizer,
    )
    arrays = partial(
        encode,
        tokenizer=tokenizer,
        target_tokenizer=target_tokenizer,
        max_source=max_source,
        max_target=max_target,
    )
    return InMemory(spec, lambda split: arrays(splits[split]))


def _pairs(path: str, unit: str) -> list[Pair]:
    lines = clean(user_bytes(path), f"data.path = {path!r}:").removesuffix("\n").split("\n")
    shown = spaced if unit == "words" else str.strip
    pairs = []
    for number, line in enumerate(lines, 1):
        source, _, target = line.partition("\t")
        pair = shown(source), shown(target.split("\t")[0])
        if not all(pair):
            raise UserError(f"{path}, line {number}: is no source and target with a tab between")
        pairs.append(pair)
    return pairs


def _fits(pair: Pair, separator: str, max_source: int, max_target: int) -> bool:
    lengths = [len(text.split(separator) if separator else text) for text in pair]
    return lengths[0] <= max_source and lengths[1] <= max_target


def _learned(pairs: list[Pair], side: int, size: int, separator: str) -> Listed:
    pattern = WORDS if separator else None  # so that a text need not be spaced as these are
    return listed(commonest((pair[side] for pair in pairs), size, separator), separator, pattern)
