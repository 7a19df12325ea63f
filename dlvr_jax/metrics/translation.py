"""How near generated texts come to the true ones. sacrebleu does the arithmetic of BLEU and chrF."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def bleu(texts: Sequence[str], truths: Sequence[str]) -> float:
    """Corpus BLEU in 0..100, one truth each: Papineni et al. 2002, as sacrebleu (Post 2018) has it by default.

    Texts are tokenised as mteval-v13a does, case counts, and n-grams of an order without any match are smoothed.
    """
    from sacrebleu.metrics import BLEU

    return float(BLEU().corpus_score(list(texts), [list(truths)]).score)


def chrf(texts: Sequence[str], truths: Sequence[str]) -> float:
    """Corpus chrF2 in 0..100, one truth each: Popovic 2015; character n-grams up to 6."""
    from sacrebleu.metrics import CHRF

    return float(CHRF().corpus_score(list(texts), [list(truths)]).score)


def longer_half(lengths: Int[np.ndarray, " count"]) -> Bool[np.ndarray, " count"]:
    """Which are longer than the median; all of them where none is."""
    longer = lengths > np.median(lengths)
    return longer if longer.any() else np.ones_like(longer)


def token_error_rate(texts: Sequence[Sequence[int]], truths: Sequence[Sequence[int]]) -> float:
    """Insertions, deletions and substitutions that turn the texts into the truths, over the truths' tokens.

    Of phonemes, the phoneme error rate. It may be over 1.
    """
    edits = sum(_distance(text, truth) for text, truth in zip(texts, truths, strict=True))
    return edits / max(sum(map(len, truths)), 1)


def _distance(text: Sequence[int], truth: Sequence[int]) -> int:
    """Levenshtein's, row by row."""
    row = list(range(len(truth) + 1))
    for done, token in enumerate(text, 1):
        before, row[0] = row[0], done
        for place, other in enumerate(truth, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (token != other))
    return row[-1]
