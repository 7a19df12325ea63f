import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.data.pairs import END, PADDING
from dlvr_jax.tasks.sampling.beam_search import beam_search, repeated
from dlvr_jax.tasks.sampling.decoding import decode, likeliest

WORDS, LENGTH, ROWS = 4, 4, 3  # padding, begin, end and one word: 4 ids


def table(seed: int) -> jax.Array:
    """Logits of the next token by (row, all tokens so far as a number in base WORDS)."""
    return 2 * jax.random.normal(jax.random.key(seed), (ROWS, WORDS ** (LENGTH + 1), WORDS))


def step(table, token, cache):
    """A model that remembers everything: its cache is the row's number and the tokens so far; a scalar counts steps."""
    row, past, count = cache
    past = jnp.where(count == 0, 0, past * WORDS + token + 1) % WORDS ** (LENGTH + 1)
    return table[row, past], (row, past, count + 1)


def first_cache(width: int = 1):
    row = repeated(jnp.arange(ROWS), width)
    return row, 0 * row, jnp.zeros((), int)


def enumerated(table, row: int, penalty: float) -> list[tuple[float, tuple[int, ...]]]:
    """Every sequence with its score, best first, one token after another in plain Python."""
    scores = {}
    for tokens in itertools.product(range(WORDS), repeat=LENGTH):
        ended = tokens[: tokens.index(END) + 1] if END in tokens else tokens
        log_p, past = 0.0, 0
        for token in ended:
            log_p += float(jax.nn.log_softmax(table[row, past])[token])
            past = (past * WORDS + token + 1) % WORDS ** (LENGTH + 1)
        scores[ended] = log_p / ((5 + len(ended)) / 6) ** penalty
    return sorted(((score, tokens) for tokens, score in scores.items()), reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_a_beam_that_holds_everything_finds_what_enumeration_finds(penalty: float) -> None:
    model, width = table(seed=1), WORDS**LENGTH
    search = jax.jit(partial(beam_search, partial(step, model), rows=ROWS, width=width, length=LENGTH))
    found, scores = search(first_cache(width), penalty=penalty)
    probabilities = np.asarray(model)
    for row in range(ROWS):
        expected = enumerated(probabilities, row, penalty)
        np.testing.assert_allclose(scores[row, : len(expected)], [score for score, _ in expected], rtol=1e-4)
        assert np.isneginf(scores[row, len(expected) :]).all()
        for place in range(5):
            kept = expected[place][1]
            assert found[row, place].tolist() == [*kept, *[PADDING] * (LENGTH - len(kept))]


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_a_beam_of_one_is_greedy_decoding(penalty: float) -> None:
    for seed in range(5):
        one = partial(step, table(seed))
        greedy = decode(one, first_cache(), ROWS, LENGTH, likeliest)
        found, _ = beam_search(one, first_cache(), ROWS, 1, LENGTH, penalty)
        np.testing.assert_array_equal(found[:, 0], greedy)


def test_a_wider_beam_ends_no_worse_than_its_own_first_choice() -> None:
    one = partial(step, table(seed=3))
    found, scores = beam_search(one, first_cache(3), ROWS, 3, LENGTH, 0.0)
    assert (np.diff(scores) <= 0).all()
    assert len({tuple(sequence) for sequence in found[0].tolist()}) == 3


def test_larger_penalties_favour_longer_sequences() -> None:
    width = WORDS**LENGTH
    search = jax.jit(partial(beam_search, partial(step, table(seed=1)), rows=ROWS, width=width, length=LENGTH))

    def lengths(penalty: float) -> list[int]:
        best = search(first_cache(width), penalty=penalty)[0][:, 0].tolist()
        return [row.index(END) + 1 if END in row else LENGTH for row in best]

    few, more, most = (np.array(lengths(penalty)) for penalty in (0.0, 2.0, 8.0))
    assert (few <= more).all() and (more <= most).all() and (few < most).any()


def test_nothing_follows_the_end() -> None:
    greedy = decode(partial(step, table(seed=2)), first_cache(), ROWS, LENGTH, likeliest).tolist()
    assert any(END in row for row in greedy)
    for row in greedy:
        if END in row:
            assert set(row[row.index(END) + 1 :]) <= {PADDING}
