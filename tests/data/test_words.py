"""Words, and the data sets of words: their recipes on a few lines of one's own. No network."""

import bz2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.data.buckets import split_of
from dlvr_jax.data.builders import brown_names, reviews, spam
from dlvr_jax.data.labelled_texts import labelled
from dlvr_jax.data.padding import padded
from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.data.words import KINDS, Words, kind, split_words
from dlvr_jax.errors import UserError

TEXTS = [["the", "cat", "the"], ["The", "dog", "the"], ["cat"]]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *[("house", "<xxx>"), ("twenty-one", "<xxx>"), ("Atlanta", "<Xxx>"), ("A", "<Xxx>"), ("McKinley", "<Xxx>")],
        *[("U.S.", "<XXX>"), ("NATO", "<XXX>"), ("1961", "<000>"), ("B-52", "<000>"), ("3rd", "<000>")],
        *[("--", "<?>"), ("$", "<?>"), ("iPhone", "<?>"), ("Éa", "<Xxx>"), ("日本", "<?>")],
    ],
)
def test_unknown_words_have_a_kind_by_their_shape(word: str, name: str) -> None:
    assert KINDS[kind(word)] == name


def test_the_most_frequent_words_have_numbers() -> None:
    words = Words(9, "test", lambda: TEXTS)
    assert words.words == ("the", "cat", "The")  # of those that occur once, the first in order of code points
    assert words.encode("the cat saw The Dog 3 times !") == [6, 7, 1, 8, 2, 4, 1, 5]
    assert words.decode([6, 7, 1, 8, 2, 0, 0]) == "the cat <xxx> The <Xxx>"
    assert isinstance(words, Tokenizer)


def test_the_list_is_made_once_and_tokenizers_are_equal_by_size_and_name() -> None:
    words = Words(9, "test", lambda: TEXTS)
    assert words.words == Words(9, "test", lambda: pytest.fail("made again")).words
    assert words == Words(9, "test", list) and hash(words) == hash(Words(9, "test", list))
    assert words != Words(10, "test", lambda: TEXTS)


def test_a_damaged_list_is_named(cache: Path) -> None:
    assert Words(9, "test", lambda: TEXTS).words
    (file,) = (cache / "words").glob("*/words.txt")
    file.write_text("the\ncat\n")
    with pytest.raises(UserError, match=r"words.txt is damaged \(not what was written\); remove .* to make it again"):
        _ = Words(9, "test", lambda: TEXTS).words
    file.unlink()
    with pytest.raises(UserError, match=r"words.txt is damaged"):
        _ = Words(9, "test", lambda: TEXTS).words


def test_a_small_text_leaves_numbers_without_words() -> None:
    words = Words(100, "test", lambda: TEXTS)
    assert words.size == 100 and words.decode([99]) == "<?>"


def test_the_stand_in_needs_no_texts() -> None:
    stand_in = Words(9, "test", lambda: pytest.fail("read")).stand_in()
    assert stand_in.size == 9 and stand_in.decode([0, 2, 6]) == "<padding> <Xxx> word6"


def test_words_keep_their_apostrophes() -> None:
    assert split_words("Don't go, Al! It's 'fine'.") == [
        *("Don't", "go", ",", "Al", "!", "It's", "'", "fine", "'", ".")
    ]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 9), max_size=6), max_size=4), st.integers(1, 5))
def test_rows_are_cut_and_filled(rows: list[list[int]], width: int) -> None:
    ids, lengths = padded(rows, width)
    assert ids.shape == (len(rows), width) and ids.dtype == lengths.dtype == np.int32
    for row, one, length in zip(rows, ids.tolist(), lengths.tolist(), strict=True):
        assert length == min(len(row), width) and one == row[:length] + [0] * (width - length)


def test_names_are_runs_of_proper_nouns_and_parts_of_titles() -> None:
    document = (
        "\n\n\tThe/at Fulton/np-tl County/nn-tl said/vbd Friday/nr Atlanta's/np$ rue/fw-np 1/2/cd ./.\n\n\tNo/rb\n"
    )
    (words, tags), second = brown_names.sentences_of(document)
    assert words == ["The", "Fulton", "County", "said", "Friday", "Atlanta's", "rue", "1/2", "."]
    assert tags == [0, 1, 2, 0, 0, 1, 2, 0, 0]
    assert second == (["No"], [0])


def test_sizes_of_brown_names_are_known_without_data() -> None:
    assert brown_names.brown_names().spec.splits == {"train": 20_189, "validation": 2_719, "test": 1_870}
    whole = brown_names.brown_names(genres="abcdefghjklmnpr").spec
    assert sum(whole.splits.values()) == 37_943 + 4_787 + 3_955
    assert whole.tokenizer.size == 8_000 and whole.class_names == ("O", "B-NAME", "I-NAME")
    for genres in ("", "aa", "ai", "z"):
        with pytest.raises(UserError, match=r"data.genres = .* is not some of the letters abcdefghjklmnpr"):
            brown_names.brown_names(genres=genres)


@pytest.mark.parametrize("genres", ["m", "r", "rm"])
def test_genres_without_a_test_split_are_refused(genres: str) -> None:
    with pytest.raises(UserError, match="leaves the test split empty; add at least one of abcdefghjklnp$"):
        brown_names.brown_names(genres=genres)
    assert all(brown_names.brown_names(genres=genres + "n").spec.splits.values())


def test_the_wrong_corpus_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca01").write_text("A/at\n")
    with pytest.raises(UserError, match="data.path"):
        brown_names.brown_names(path=str(tmp_path))


def test_reviews_go_by_film_and_once_each() -> None:
    rows = [("fresh", "Good, isn't it?", "a"), ("plot", "They meet.", "a"), ("rotten", "Bad.", "b")]
    table = "category,text,movie_name\n" + "".join(f'{c},"{t}",{m}\n' for c, t, m in [*rows, rows[0]])
    splits = reviews.by_split(table)
    assert sum(map(len, splits.values())) == 2
    assert splits[split_of("a")][0] == labelled("good, isn't it?", 1)
    assert splits[split_of("b")][-1].label == 0
    assert reviews.reviews().spec.num_classes == 2


def test_the_wrong_reviews_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rotten_tomatoes_corpus_full.csv.bz2").write_bytes(bz2.compress(b"category,text\n"))
    with pytest.raises(UserError, match="is not the right file"):
        reviews.reviews(path=str(tmp_path))


def test_mails_are_their_bodies_and_once_each() -> None:
    mails = {
        "easy-ham-1/1.txt": b"Subject: x\nTo: y\n\nHello you\n\nBye\n",
        "spam-1/1.txt": b"Subject: x\r\n\r\nBuy\xff now",
        "spam-2/1.txt": b"Subject: z\n\nBuy\xff  now\n",
    }
    splits = spam.by_split(mails)
    texts = {one.label: one.words for part in splits.values() for one in part}
    assert sum(map(len, splits.values())) == 2
    assert texts[0] == ["hello", "you", "bye"] and texts[1][0] == "buy"
    assert splits[split_of("hello you bye")][0].label == 0
    assert spam.body_of(b"no empty line") == ""
    assert spam.spam().spec.splits == {"train": 4_623, "validation": 589, "test": 535}


def test_mails_that_differ_in_a_tail_only_are_in_one_split() -> None:
    start = " ".join(f"word{number}" for number in range(160))
    mails = {f"spam-1/{n}.txt": f"Subject: x\n\n{start} {n}".encode() for n in range(20)}
    mails |= {f"spam-2/{n}.txt": b"Subject: x\n\n" + b"a" * 2_000 + bytes([n]) for n in range(65, 85)}
    splits = spam.by_split(mails)
    assert len(splits[split_of(start)]) >= 20 and sum(map(len, splits.values())) == 21  # what is cut makes no new mail
