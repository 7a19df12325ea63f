"""Windows out of texts, the recipe of the plays, any text file, learned subwords."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlvr_jax.data.builders.shakespeare_1m import joined, shakespeare_1m
from dlvr_jax.data.builders.text_file import text_file
from dlvr_jax.data.spelling import token_sizes
from dlvr_jax.data.subwords import KINDS, SMALLEST, learn_subwords
from dlvr_jax.data.text import clean, split_by_position, window_count, windows
from dlvr_jax.data.tokenizers import Bytes, Characters, Listed
from dlvr_jax.errors import UserError

PLAY = """# Macbeth

## ACT I

### SCENE I. A desert place.

_Thunder and lightning. Enter three
Witches_

**First Witch**  
When shall we three meet again  
In thunder, lightning, or in rain?

**SOLDIER'S BOY**  
When the hurlyburly's done, _Aside_  
When the battle's lost and won.

_Exit_

That will be ere the set of sun.

### SCENE II. A camp.

Alarum within.

**Duncan**  
What bloody man is that?
"""
SPEECHES = """First Witch:
When shall we three meet again
In thunder, lightning, or in rain?

Soldier's Boy:
When the hurlyburly's done,
When the battle's lost and won.
That will be ere the set of sun.

Duncan:
What bloody man is that?
"""
PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.\n"
)
every_kind = pytest.mark.parametrize("kind", KINDS)


@given(ids=st.lists(st.integers(0, 9), max_size=50), length=st.integers(1, 12))
def test_every_token_but_the_first_is_a_target_once(ids: list[int], length: int) -> None:
    cut = windows(ids, length)
    assert cut["tokens"].shape == (window_count(len(ids), length), length + 1)
    pairs = [
        (int(tokens[place]), int(tokens[place + 1]))
        for tokens, real in zip(cut["tokens"], cut["length"], strict=True)
        for place in range(real)
    ]
    assert pairs == list(pairwise(ids))
    for tokens, real in zip(cut["tokens"], cut["length"], strict=True):
        assert not tokens[real + 1 :].any()


@given(count=st.integers(0, 10**9))
def test_splits_by_position_cover_everything_in_order(count: int) -> None:
    train, validation, test = split_by_position(count).values()
    assert (train.start, train.stop, validation.stop, test.stop) == (0, validation.start, test.start, count)
    assert abs(train.stop - 0.8 * count) < 1 and abs(test.start - 0.9 * count) < 1


def test_text_is_cleaned_and_what_is_no_utf_8_is_named() -> None:
    assert clean("\ufeffa\r\nb\rc\n".encode(), "here") == "a\nb\nc\n"
    with pytest.raises(UserError, match="here is not UTF-8: byte 2 is 0xff"):
        clean(b"ab\xff", "here")


def test_plays_become_speeches() -> None:
    assert joined([PLAY]) == SPEECHES
    assert joined([PLAY, PLAY]) == SPEECHES + "\n" + SPEECHES


def test_the_spec_of_the_plays_is_known_without_them() -> None:
    spec = shakespeare_1m(length=128).spec
    assert spec.splits == {"train": 7464, "validation": 933, "test": 933}
    assert spec.features["tokens"].shape == (129,)
    assert spec.vocab_size == 67
    assert spec.tokenizer.decode(spec.tokenizer.encode(SPEECHES)) == SPEECHES


def test_the_plays_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold the right files roman/coriolanus.md"):
        shakespeare_1m(path=str(tmp_path))


def prose(folder: Path, text: str = 20 * PROSE + "Ä") -> str:
    path = folder / "prose.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("tokens", ["characters", "bytes", *KINDS])
def test_any_text_file_comes_back_from_its_windows(tokens: str, tmp_path: Path, cache: Path) -> None:
    source = text_file(path=prose(tmp_path), length=16, tokens=tokens, vocab_size=520 if tokens in KINDS else None)
    read = []
    for split in source.spec.splits:
        arrays = source.arrays(split)
        assert len(arrays["tokens"]) == source.spec.splits[split]
        np.testing.assert_array_equal(
            arrays["tokens"], source.records(split).read(np.arange(len(arrays["length"])))["tokens"]
        )
        read += [int(arrays["tokens"][0, 0])]
        for row, length in zip(arrays["tokens"], arrays["length"], strict=True):
            read += [int(i) for i in row[1 : 1 + length]]
    assert source.spec.tokenizer.decode(read) == 20 * PROSE + "Ä"  # which is in no word of the train part
    assert (
        source.fingerprint()
        == text_file(
            path=prose(tmp_path), length=16, tokens=tokens, vocab_size=520 if tokens in KINDS else None
        ).fingerprint()
    )
    assert source.fingerprint() != text_file(path=prose(tmp_path, PROSE * 20), length=16, tokens="bytes").fingerprint()


def test_faults_of_a_text_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        text_file(path=str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="leave the train split empty|leave the validation split empty"):
        text_file(path=prose(tmp_path, "ab"))
    with pytest.raises(UserError, match="data.tokens = bpe needs data.vocab_size"):
        text_file(path=prose(tmp_path), tokens="bpe")
    with pytest.raises(UserError, match="data.vocab_size = 512: wordpiece takes at least 513"):
        text_file(path=prose(tmp_path), tokens="wordpiece", vocab_size=512)
    with pytest.raises(UserError, match="data.tokens = bytes takes no data.vocab_size"):
        text_file(path=prose(tmp_path), tokens="bytes", vocab_size=300)


@every_kind
def test_subwords_are_learned_once_and_lose_nothing(kind, cache: Path) -> None:
    text = 30 * PROSE + "naïve façade 🦆\n\n  ##\n"
    size = SMALLEST[kind] + 30
    learned = learn_subwords(text, kind, size)
    assert learned == learn_subwords(text, kind, size) and hash(learned) == hash(learn_subwords(text, kind, size))
    assert len(list((cache / "tokenizers").glob("*/tokenizer.json"))) == 1
    ids = learned.encode(text)
    assert learned.decode(ids) == text
    assert max(ids) < learned.size <= size and len(ids) < len(text)
    for unseen in ("‿ other\twords ‿", "Ä", "xÄ" * 600, "[UNK] ##a"):
        assert learned.decode(learned.encode(unseen)) == unseen


def test_a_changed_tokenizer_is_refused(cache: Path) -> None:
    learned = learn_subwords(PROSE, "bpe", 270)
    (path,) = (cache / "tokenizers").glob("*/tokenizer.json")
    path.write_text(path.read_text() + " ")
    with pytest.raises(UserError, match="is not the tokenizer that it was"):
        learned.encode("a")


@pytest.mark.parametrize("tokens", ["characters", "bytes", *KINDS])
def test_token_sizes_add_up_to_the_text(tokens: str, cache: Path) -> None:
    text = 20 * PROSE + "naïve façade 🦆\n"
    if tokens in KINDS:
        tokenizer = learn_subwords(text, tokens, 520)
    else:
        tokenizer = Bytes() if tokens == "bytes" else Characters("".join(sorted(set(text))))
    characters, in_bytes = token_sizes(tokenizer)
    ids = tokenizer.encode(text)
    assert characters[ids].sum() == len(text)
    assert in_bytes[ids].sum() == len(text.encode())


def test_words_count_with_what_is_between_them() -> None:
    characters, in_bytes = token_sizes(Listed(("<unk>", "été", "a"), unknown=0))
    assert list(characters[1:]) == [4, 2] and list(in_bytes[1:]) == [6, 2]
