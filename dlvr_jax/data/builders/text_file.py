"""Any text in UTF-8 on this machine, for language models."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from dlvr_jax.data.paths import user_bytes
from dlvr_jax.data.prepared import ReadInPlace
from dlvr_jax.data.sources import ArrayRecords, Records, Source, Spec
from dlvr_jax.data.subwords import KINDS, SMALLEST, learn_subwords
from dlvr_jax.data.text import clean, split_by_position, window_count, window_features, windows
from dlvr_jax.data.tokenizers import Bytes, Characters, Tokenizer
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between


def text_file(
    *,
    path: str,
    length: Annotated[int, Between(1, 65_536)] = 64,
    tokens: Literal["characters", "bytes", "bpe", "unigram", "wordpiece"] = "characters",
    vocab_size: Annotated[int, Between(min(SMALLEST.values()), 1_000_000)] | None = None,
) -> Source:
    """Windows of `length` tokens of the text file `path`: by position, eight tenths train, one validation, one test.

    The characters are all those of the file. Subwords ("bpe", "unigram", "wordpiece"; see `data/subwords.py`) are
    learned from the train part, `vocab_size` of them; they need it, and nothing else takes it.
    """
    if (vocab_size is None) == (tokens in KINDS):
        need = "needs data.vocab_size" if vocab_size is None else "takes no data.vocab_size"
        raise UserError(f"data.tokens = {tokens} {need}")
    content = user_bytes(path)
    text = clean(content, f"data.path = {path!r}:")
    parts = {split: text[place] for split, place in split_by_position(len(text)).items()}
    tokenizer = _tokenizer(text, parts["train"], tokens, vocab_size)
    encoded = _Encoded(tuple(parts.items()), tokenizer, length)
    counts = {split: window_count(len(ids), length) for split, ids in encoded.ids.items()}
    for split, count in counts.items():
        if not count:
            raise UserError(f"data.path = {path!r}: its {len(text)} characters leave the {split} split empty")
    spec = Spec(Path(path).stem, window_features(length), counts, tokenizer=tokenizer)
    made_from = sha256(content + repr((length, tokens, tokenizer)).encode()).hexdigest()
    return ReadInPlace(spec, encoded.open, made_from)


def _tokenizer(text: str, train: str, tokens: str, vocab_size: int | None) -> Tokenizer:
    for kind in KINDS:
        if kind == tokens:
            assert vocab_size is not None
            if vocab_size < SMALLEST[kind]:
                raise UserError(f"data.vocab_size = {vocab_size}: {kind} takes at least {SMALLEST[kind]}")
            return learn_subwords(train, kind, vocab_size)
    return Bytes() if tokens == "bytes" else Characters("".join(sorted(set(text))))


@dataclass(frozen=True)
class _Encoded:
    parts: tuple[tuple[str, str], ...]  # the text of each split
    tokenizer: Tokenizer
    length: int

    @cached_property
    def ids(self) -> dict[str, list[int]]:
        return {split: self.tokenizer.encode(text) for split, text in self.parts}

    def open(self, split: str) -> Records:
        """The windows of a split."""
        return ArrayRecords(windows(self.ids[split], self.length))
