"""What there is to see of a language model beside the text that it makes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from dlvr_jax.data.tokenizers import Tokenizer
from dlvr_jax.displays import Curves, HeatMap, Text
from dlvr_jax.tasks.task import Batch

SHOWN = 6  # windows
PLACES = 64  # of a window, in a picture
LINE = 72  # letters of a line of text with guesses below it


def by_position(sums: tuple[np.ndarray, np.ndarray]) -> Curves:
    """How the loss falls with the tokens that were seen of the window."""
    total, count = sums
    seen = count > 0
    losses = total[seen] / count[seen]
    return Curves(
        1.0 + np.flatnonzero(seen), losses[None], ("loss",), "token of the window", "nats", "Loss by position"
    )


def hardest(tokenizer: Tokenizer, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]) -> Text:
    """The windows with the greatest loss, then those with the least."""
    order = np.argsort(-outputs["loss"], kind="stable")
    rows = order if len(order) <= SHOWN else np.concatenate([order[: SHOWN // 2], order[-SHOWN // 2 :]])
    batch = examples(outputs["index"][rows])
    texts = (_text(tokenizer, batch, row, slice(0, None)) for row in range(len(rows)))
    losses = outputs["loss"][rows]
    return Text(
        tuple(f"{loss:.2f} nats a token: {text}" for loss, text in zip(losses, texts, strict=True)),
        "Hardest and easiest windows",
    )


def guessed(tokenizer: Tokenizer, batch: Batch, outputs: Mapping[str, np.ndarray]) -> Text:
    """Each window, and under it the token that the model held likeliest at each place, where it was wrong."""
    passages = []
    for row in range(min(len(batch["tokens"]), SHOWN)):
        targets, guesses = _targets(batch, row), outputs["prediction"][row]
        pairs = [
            (_cell(tokenizer, target), _cell(tokenizer, guess))
            for target, guess in zip(targets, guesses[: len(targets)], strict=True)
        ]
        passages.append("\n".join(_two_lines(pairs)))
    return Text(tuple(passages), "Text, and wrong guesses")


def _two_lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Targets and the guesses that differ, each under its target, broken into lines."""
    lines, true, said = [], "", ""
    for target, guess in pairs:
        width = max(len(target), len(guess))
        if true and len(true) + width > LINE:
            lines += [true, said, ""]
            true, said = "", ""
        true += target.ljust(width)
        said += ("·" if target == guess else guess).ljust(width)
    return [*lines, true, said]


def surprise(tokenizer: Tokenizer, batch: Batch, outputs: Mapping[str, np.ndarray]) -> HeatMap:
    """Bits of each token, for the first windows; white space beyond a window's end is zero."""
    rows = range(min(len(batch["tokens"]), SHOWN))
    bits: Float[np.ndarray, "rows places"] = outputs["loss"][: len(rows), :PLACES] / math.log(2)
    names = tuple(_text(tokenizer, batch, row, slice(0, 12)) for row in rows)
    return HeatMap(bits, names, tuple(map(str, range(1, bits.shape[1] + 1))), "token", "window", "Surprise (bits)")


def _targets(batch: Batch, row: int) -> list[int]:
    return [int(i) for i in batch["tokens"][row][1 : 1 + int(batch["length"][row])]]


def _text(tokenizer: Tokenizer, batch: Batch, row: int, place: slice) -> str:
    return tokenizer.decode(_targets(batch, row)[place])


def _cell(tokenizer: Tokenizer, token: Any) -> str:
    """A token on one line."""
    return tokenizer.decode([int(token)]).replace("\n", "⏎").replace("\t", "→") or "∅"
