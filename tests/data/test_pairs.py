from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlvr_jax.data.buckets import bucket, split_of
from dlvr_jax.data.builders import en_de, g2p
from dlvr_jax.data.builders.parallel_tsv import parallel_tsv
from dlvr_jax.data.builders.reversal import reversal
from dlvr_jax.data.pairs import (
    BEGIN,
    END,
    PADDING,
    UNKNOWN,
    LearnedLater,
    by_split,
    commonest,
    encode,
    listed,
    spaced,
    text_of,
)
from dlvr_jax.data.sources import SPLITS
from dlvr_jax.data.tokenizers import Characters
from dlvr_jax.errors import UserError

LETTERS = listed("abc", separator="")
texts = st.text("abc", min_size=1, max_size=5)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_what_is_encoded_decodes_to_the_same_pairs(pairs: list[tuple[str, str]]) -> None:
    arrays = encode(pairs, LETTERS, LETTERS, 5, 6)
    for row, (source, target) in enumerate(pairs):
        assert text_of(arrays["source"][row], LETTERS) == source
        assert text_of(arrays["target"][row], LETTERS) == target
        assert arrays["source_length"][row] == len(source)
        assert arrays["target_length"][row] == len(target) + 2
        assert arrays["target"][row][0] == BEGIN
        assert arrays["target"][row][len(target) + 1] == END
        assert (arrays["target"][row][len(target) + 2 :] == PADDING).all()
    assert arrays["target"].shape == (len(pairs), 8)


def test_what_is_not_in_the_vocabulary_is_unknown() -> None:
    assert LETTERS.encode("axb") == [4, UNKNOWN, 5]
    assert LETTERS.size == 7


@pytest.mark.parametrize("source", ["abcabc", ""])
def test_a_text_that_does_not_fit_is_an_error(source: str) -> None:
    with pytest.raises(UserError, match="where 1 to 5 fit"):
        encode([("a", "a"), (source, "a")], LETTERS, LETTERS, 5, 5)


def test_buckets_are_what_they_were() -> None:
    assert [bucket(text) for text in ("", "a", "It is raining.")] == [9, 9, 7]


def test_a_source_text_has_one_split() -> None:
    pairs = [(f"word {number % 50}", str(number)) for number in range(200)]
    parts = by_split(pairs)
    assert sum(map(len, parts.values())) == 200
    assert all(split_of(source) == split for split, part in parts.items() for source, _ in part)


def test_words_and_marks_are_set_apart_and_counted() -> None:
    assert spaced("Who's there?  Äpfel.") == "Who ' s there ? Äpfel ."
    assert commonest(["b a", "a c"], 2, " ") == ("a", "b")
    assert commonest(["cab", "a"], 9, "") == ("a", "b", "c")


@pytest.mark.parametrize("target", ["reversed", "copied"])
def test_rows_are_reversed_or_copied(target: str) -> None:
    source = reversal(target=target, train=50, validation=10, test=10)
    for split, count in zip(SPLITS, (50, 10, 10), strict=True):
        arrays = source.arrays(split)
        assert len(arrays["source"]) == count
        for row, length in enumerate(arrays["source_length"]):
            given, wanted = arrays["source"][row][:length], arrays["target"][row][1 : length + 1]
            np.testing.assert_array_equal(wanted, given[::-1] if target == "reversed" else given)
    assert source.fingerprint() == reversal(target=target, train=50, validation=10, test=10).fingerprint()


def test_no_row_is_in_two_splits_and_even_the_fewest_rows_fill_each() -> None:
    source = reversal(letters=4, min_length=3, max_length=3, train=40, validation=40, test=40)
    rows = [{tuple(row) for row in source.arrays(split)["source"]} for split in SPLITS]
    assert all(rows) and not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])


def test_every_length_occurs_about_as_often() -> None:
    lengths = reversal(train=2_000).arrays("train")["source_length"]
    counts = np.bincount(lengths)[4:]
    assert len(counts) == 9 and counts.min() > 150  # 222 expected, standard deviation 14


def test_min_length_over_max_length_is_an_error() -> None:
    with pytest.raises(UserError, match=r"data.min_length = 9 is over data.max_length = 5"):
        reversal(min_length=9, max_length=5)


def test_a_pronouncing_dictionary_is_read() -> None:
    lines = ["ABOUT  AH0 B AW1 T", "ABOUT(1)  AH0 B AW0 T", "A.  EY1", "IT'S  IH1 T S", "X" * 17 + "  EH1", ";; note"]
    assert g2p.parse("\n".join(lines).encode()) == [("ABOUT", "AH0 B AW1 T"), ("IT'S", "IH1 T S")]


def test_the_vocabularies_of_g2p_are_known_without_files() -> None:
    spec = g2p.g2p().spec
    assert (spec.vocab_size, spec.target_tokenizer.size) == (4 + 27, 4 + 69)
    assert UNKNOWN not in spec.target_tokenizer.encode("AH0 B AW1 T") + spec.tokenizer.encode("IT'S")


DICTIONARY = """# Version :: 1
Hund {m} | Hunde {pl} :: dog | dogs
Regen {m}; Guss {m} | Es regnet. | Es regnet (sehr) stark.; Es gießt. :: rain | It is raining. | It rains [Br.] hard.
Er kam. | Nun! :: He came home. | Now!
jdm. helfen | Ich helfe jdm. gern. :: to help sb. | I like to help sb. often.
Nein, das ist es nicht. :: No, this is not it.
Es regnet wieder. :: It is raining.
Nur eins. | Nur zwei. :: Only this one.
"""


def test_sentences_are_taken_out_of_the_dictionary() -> None:
    assert en_de.parse(DICTIONARY) == [
        ("He came home.", "Er kam."),
        ("It is raining.", "Es regnet."),
        ("It rains hard.", "Es regnet stark."),
        ("No, this is not it.", "Nein, das ist es nicht."),
    ]


def test_a_tokenizer_may_be_learned_when_it_is_first_needed() -> None:
    def tokenizer(size: int = 9, name: str = "abc") -> LearnedLater:
        return LearnedLater(size, name, lambda: Characters("abc"))

    times: list[int] = []
    one = LearnedLater(9, "abc", lambda: times.append(1) or Characters("abc"))
    assert one == tokenizer() and hash(one) == hash(tokenizer())
    assert one != tokenizer(size=8) and one != tokenizer(name="abd")
    assert not times
    assert one.encode("cab") == [6, 4, 5]
    assert one.decode([1, 6, 4, 5, 8, 2]) == "cab"
    assert one.decode([2]) == "<end>"
    assert len(times) == 1


def test_the_spec_of_en_de_is_known_without_files() -> None:
    spec = en_de.en_de(max_words=8).spec
    assert (spec.vocab_size, spec.target_tokenizer.size, spec.splits["train"]) == (2000, 2000, 8269)
    assert spec.features["target"].shape == (32,)
    assert spec.tokenizer != spec.target_tokenizer
    assert hash(spec.tokenizer) == hash(en_de.en_de(max_words=8).spec.tokenizer)


def written(folder: Path, text: str) -> str:
    file = folder / "own.tsv"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_a_file_of_pairs_is_read(unit: str, tmp_path: Path) -> None:
    lines = [f"I see {n}.\tIch sehe {n}.\tnote" for n in range(60)] + ["much " * 30 + "\tviel"]
    source = parallel_tsv(path=written(tmp_path, "\n".join(lines)), unit=unit)
    spec, arrays = source.spec, source.arrays("train")
    texts = [text_of(row, spec.tokenizer) for row in arrays["source"]]
    given = ["I see 7.", "I see 7 ."][unit == "words"].replace("7", "{}")
    assert spec.name == "own" and sum(spec.splits.values()) == 60
    assert texts == [given.format(n) for n in range(60) if split_of(given.format(n)) == "train"]
    assert text_of(arrays["target"][0], spec.target_tokenizer) == texts[0].replace("I see", "Ich sehe")
    number = texts[0].strip(" .").removeprefix("I see ")
    assert spec.tokenizer.unknown_in(f"I see {number}.") == []  # as it stands in the file


@pytest.mark.parametrize("text", ["one\ttwo\nthree\n", "one\t\n", "\n"])
def test_a_line_that_is_no_pair_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"own.tsv, line [12]: is no source and target with a tab between"):
        parallel_tsv(path=written(tmp_path, text))


def test_too_few_pairs_or_no_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave the train split empty|leave the validation split empty"):
        parallel_tsv(path=written(tmp_path, "one\ttwo\n"))
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        parallel_tsv(path=str(tmp_path / "none.tsv"))
    (tmp_path / "latin.tsv").write_bytes(b"\xe9\tone\n")
    with pytest.raises(UserError, match="is not UTF-8: byte 0 is 0xe9"):
        parallel_tsv(path=str(tmp_path / "latin.tsv"))


def test_marks_of_other_systems_are_no_part_of_a_pair(tmp_path: Path) -> None:
    """A byte order mark, carriage returns; and characters at which only Python ends a line."""
    lines = [f"I see\u2028{n}.\tIch sehe {n}." for n in range(60)]
    plain = parallel_tsv(path=written(tmp_path, "\n".join(lines)))
    marked = parallel_tsv(path=written(tmp_path, "\ufeff" + "\r\n".join(lines) + "\r\n"))
    assert plain.fingerprint() == marked.fingerprint()


def test_damaged_pairs_in_the_cache_are_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(en_de, "fetch", lambda origin, path: {"de-en": DICTIONARY.encode()})
    assert len(list(en_de._pairs(None, 12))) == 4
    (file,) = (cache / "pairs").glob("*/pairs.tsv")
    file.write_text("cut short")
    with pytest.raises(UserError, match=r"pairs.tsv is damaged"):
        list(en_de._pairs(None, 12))
