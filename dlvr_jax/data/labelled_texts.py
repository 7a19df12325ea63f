"""Texts with a class as arrays: what data sets of text classification share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.padding import padded
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.sources import Feature, Source, Spec
from dlvr_jax.data.words import RECIPE, Words, split_words


@dataclass(frozen=True)
class Labelled:
    """A text in lower case, as words, and the number of its class."""

    words: list[str]
    label: int


def labelled(text: str, label: int) -> Labelled:
    """A text split into words."""
    return Labelled(split_words(text.lower()), label)


def labelled_texts(
    name: str,
    splits: Mapping[str, int],
    class_names: tuple[str, ...],
    read: Callable[[], Mapping[str, list[Labelled]]],
    *,
    max_length: int,
    vocab_size: int,
    version: str = "1.0.0",
) -> Source:
    """A data set of the first `max_length` words of each text that `read` gives for each split.

    `version` is that of `read`'s recipe: what was made by another one lies elsewhere in the cache.

    The vocabulary is that of the whole train texts. Their upper case is gone, so of the unknown words' kinds only
    three occur: letters, digits, other.
    """
    tokenizer = Words(vocab_size, f"{name}-{version}", lambda: (text.words for text in read()["train"]))
    spec = Spec(
        name=name,
        features={
            "tokens": Feature((max_length,), "int32"),
            "length": Feature((), "int32"),
            "label": Feature((), "int32"),
        },
        splits=splits,
        num_classes=len(class_names),
        class_names=class_names,
        tokenizer=tokenizer,
    )

    def arrays() -> dict[str, Arrays]:
        return {split: _encoded(texts, tokenizer, max_length) for split, texts in read().items()}

    return Prepared(spec, arrays, f"{max_length}_{vocab_size}_{RECIPE}", version)


def _encoded(texts: list[Labelled], tokenizer: Words, max_length: int) -> Arrays:
    tokens, length = padded([tokenizer.encode(" ".join(text.words)) for text in texts], max_length)
    return {"tokens": tokens, "length": length, "label": np.array([text.label for text in texts], np.int32)}
