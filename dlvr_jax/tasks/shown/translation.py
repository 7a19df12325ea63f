"""Sources, what a model makes of them, and where it looked, as displays."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from dlvr_jax.data.pairs import END, PADDING, until_end
from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.displays import Alignment, Curves, Display

ALIGNMENTS = 4  # that are shown at once


def alignments(
    source: Int[np.ndarray, "count source"],
    predicted: Int[np.ndarray, "count target"],
    weights: Float[np.ndarray, "count target source"],
    names: tuple[Tokenizer, Tokenizer],
) -> dict[str, Display]:
    """Where in the source each predicted token, the end included, looked: "alignment_0" and so on."""
    shown: dict[str, Display] = {}
    for number in range(min(len(source), ALIGNMENTS)):
        read = until_end(source[number])
        written = [token for token in predicted[number].tolist() if token != PADDING]
        shown[f"alignment_{number}"] = Alignment(
            np.asarray(weights[number, : len(written), : len(read)], np.float32),
            tuple(names[0].decode([token]) for token in read),
            tuple("<end>" if token == END else names[1].decode([token]) for token in written),
            "Attention",
        )
    return shown


def by_length(exact: np.ndarray, lengths: Int[np.ndarray, " count"]) -> Curves:
    """The share of sources that are right from begin to end, for each length that occurs."""
    x = np.unique(lengths)
    right = np.array([exact[lengths == length].mean() for length in x])
    return Curves(x.astype(float), right[None], ("exact match",), "tokens of the source", "share", "By length")


def hypotheses(sources: Sequence[str], found: Mapping[str, Sequence[tuple[str, float]]]) -> tuple[str, ...]:
    """A passage for each source: itself, and below it what was found, with its score."""
    return tuple(
        "\n".join([source, *(f"  {score:8.3f}  {text}" for text, score in found[source])]) for source in sources
    )
