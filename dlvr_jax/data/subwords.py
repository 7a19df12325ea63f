"""Tokens between characters and words, learned from a text and kept in the cache.

All three kinds work on bytes, so that they know every text: a text is cut at blanks and punctuation (GPT-2's pattern),
its bytes written as 256 printable characters, and pieces of those are the tokens. `tokenizers` does the work.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from dlvr_jax.data.cache import make_once, read_text
from dlvr_jax.errors import UserError
from dlvr_jax.runtime import cache_folder

Kind = Literal["bpe", "unigram", "wordpiece"]
KINDS: tuple[Kind, ...] = ("bpe", "unigram", "wordpiece")
SMALLEST: dict[Kind, int] = {"bpe": 256, "unigram": 257, "wordpiece": 513}  # every byte (twice), and the unknown token
_INSIDE = "‿"  # marks a piece of WordPiece that begins no word; no byte is written as this
_UNKNOWN = "‿‿"  # which WordPiece must have; no text has it, and no word needs it
_FILE = "tokenizer.json"
RECIPE = 2  # to be raised when `_learn` changes: what was learned before is not found any more


@dataclass(frozen=True)
class Subwords:
    """A learned tokenizer, by the SHA-256 of its file, which lies in `folder` and is read when needed."""

    folder: str  # in the cache
    digest: str
    size: int

    def encode(self, text: str) -> list[int]:
        """See Tokenizer."""
        ids: list[int] = self._loaded.encode(text).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """See Tokenizer. What is no UTF-8 becomes the replacement character, an unknown piece nothing."""
        return b"".join(self.spelling(i) for i in ids).decode(errors="replace")

    def spelling(self, i: int) -> bytes:
        """The bytes that a token stands for; none for the unknown one."""
        token: str = self._loaded.id_to_token(int(i))
        if token == _UNKNOWN:
            return b""
        return bytes(_BYTES[character] for character in token.removeprefix(_INSIDE))

    @cached_property
    def _loaded(self) -> Any:
        from tokenizers import Tokenizer

        path = cache_folder() / "tokenizers" / self.folder / _FILE
        written = read_text(path)
        if sha256(written.encode()).hexdigest() != self.digest:
            raise UserError(f"{path} is not the tokenizer that it was; remove {path.parent} and prepare the data again")
        return Tokenizer.from_str(written)


def learn_subwords(text: str, kind: Kind, vocab_size: int) -> Subwords:
    """The tokenizer of that kind learned from `text`: once, then from the cache. It may stay below `vocab_size`.

    - "bpe": Sennrich, Haddow & Birch 2016, https://arxiv.org/abs/1508.07909, on bytes as in GPT-2;
    - "unigram": Kudo 2018, https://arxiv.org/abs/1804.10959;
    - "wordpiece": Schuster & Nakajima 2012, as in BERT, with every byte, at the beginning of words and inside.
    """
    import tokenizers

    settings = f"{RECIPE} {kind} {vocab_size} {tokenizers.__version__} "
    name = sha256(settings.encode() + text.encode()).hexdigest()[:16]
    folder = make_once(cache_folder() / "tokenizers" / name, lambda to: _learn(text, kind, vocab_size, to))
    written = read_text(folder / _FILE)
    size = tokenizers.Tokenizer.from_str(written).get_vocab_size()
    return Subwords(name, sha256(written.encode()).hexdigest(), size)


def _learn(text: str, kind: Kind, vocab_size: int, to: Path) -> None:
    from tokenizers import models, pre_tokenizers, trainers

    common: dict[str, Any] = dict(
        vocab_size=vocab_size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    model, trainer = {
        "bpe": lambda: (models.BPE(), trainers.BpeTrainer(**common)),
        "unigram": lambda: (models.Unigram(), trainers.UnigramTrainer(**common)),
        "wordpiece": lambda: (
            _word_pieces({_UNKNOWN: 0}),
            trainers.WordPieceTrainer(special_tokens=[_UNKNOWN], continuing_subword_prefix=_INSIDE, **common),
        ),
    }[kind]()
    tokenizer = _by_bytes(model)
    tokenizer.train_from_iterator([text], trainer)  # whole, as it will be encoded
    if kind == "wordpiece":
        tokenizer = _by_bytes(_word_pieces(_with_every_byte(tokenizer.get_vocab(), vocab_size)))
    tokenizer.save(str(to / _FILE))


def _by_bytes(model: Any) -> Any:
    from tokenizers import Tokenizer, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _word_pieces(vocabulary: dict[str, int]) -> Any:
    from tokenizers.models import WordPiece

    return WordPiece(
        vocabulary, unk_token=_UNKNOWN, continuing_subword_prefix=_INSIDE, max_input_chars_per_word=1_000_000
    )


def _with_every_byte(learned: dict[str, int], size: int) -> dict[str, int]:
    """The pieces in the order of their ids: the learned ones behind every byte, so that no word is unknown."""
    single = [_UNKNOWN, *_BYTES, *(_INSIDE + byte for byte in _BYTES)]
    longer = [piece for piece in sorted(learned, key=learned.__getitem__) if piece not in set(single)]
    return {piece: i for i, piece in enumerate([*single, *longer][:size])}


def _bytes_by_character() -> dict[str, int]:
    """GPT-2's way to write bytes: the printable ones of Latin-1 as themselves, the others as characters from 256 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _bytes_by_character()
