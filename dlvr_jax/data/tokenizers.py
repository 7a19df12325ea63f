"""Text as whole numbers and back. A tokenizer is a value: equal ones share compiled programs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from dlvr_jax.errors import UserError


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids in 0 .. size - 1, and back."""

    @property
    def size(self) -> int:
        """How many ids there are."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids."""
        ...


@dataclass(frozen=True)
class Characters:
    """A character a token, numbered by its place in `alphabet`."""

    alphabet: str

    @property
    def size(self) -> int:
        """See Tokenizer."""
        return len(self.alphabet)

    def encode(self, text: str) -> list[int]:
        """See Tokenizer. Raises UserError for a character that is not in the alphabet."""
        unknown = sorted(set(text) - set(self._ids))
        if unknown:
            named = ", ".join(map(repr, unknown))
            which = f"character {named} is" if len(unknown) == 1 else f"characters {named} are"
            raise UserError(f"the {which} none of the {self.size} of this alphabet")
        return [self._ids[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """See Tokenizer."""
        return "".join(self.alphabet[i] for i in ids)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: i for i, character in enumerate(self.alphabet)}


@dataclass(frozen=True)
class Bytes:
    """A byte of UTF-8 a token: any text, with nothing to learn."""

    size: int = 256

    def encode(self, text: str) -> list[int]:
        """See Tokenizer."""
        return list(text.encode())

    def decode(self, ids: Iterable[int]) -> str:
        """See Tokenizer. What is no UTF-8 becomes the replacement character."""
        return bytes(ids).decode(errors="replace")


@dataclass(frozen=True)
class Listed:
    """The tokens themselves, in the order of their ids, put together by `separator`; unknown ones become `unknown`.

    A text is cut at the separator, into characters where that is empty, or into all that fits `pattern`.
    """

    tokens: tuple[str, ...]
    unknown: int
    separator: str = " "
    pattern: str | None = None  # a regular expression

    @property
    def size(self) -> int:
        """See Tokenizer."""
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """See Tokenizer."""
        return [self._ids.get(part, self.unknown) for part in self._parts(text)]

    def unknown_in(self, text: str) -> list[str]:
        """What of a text becomes `unknown`, in order."""
        return [part for part in dict.fromkeys(self._parts(text)) if part not in self._ids]

    def decode(self, ids: Iterable[int]) -> str:
        """See Tokenizer."""
        return self.separator.join(self.tokens[i] for i in ids)

    def _parts(self, text: str) -> Sequence[str]:
        if self.pattern is not None:
            return re.findall(self.pattern, text)
        return text.split(self.separator) if self.separator else text

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}
