"""Bidirectional readers: padding, directions, pooling, PyTorch's packed LSTM."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.models.modern_rnn.bidirectional import Tagger, TextClassifier, pooled
from tests.initialised import initialised, uneven

WORDS, BATCH, VOCABULARY = 7, 3, 11
LENGTHS = jnp.array([7, 1, 4])

MODELS = {
    f"{kind.__name__}-{'-'.join(map(str, fields.values()))}": kind(3, VOCABULARY, embedding=4, width=6, **fields)
    for kind, options in (
        (Tagger, [dict(cell="lstm"), dict(cell="gru", layers=2), dict(directions="forward")]),
        (TextClassifier, [dict(pooling="mean"), dict(pooling="max", cell="gru"), dict(pooling="last", layers=2)]),
    )
    for fields in options
}
every_model = pytest.mark.parametrize("name", MODELS)


def tokens_of(seed: int = 1, words: int = WORDS) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(1, VOCABULARY, (BATCH, words)))


@cache
def variables_of(model):
    """With biases that are not zero."""
    return uneven(initialised(model, tokens_of(), LENGTHS))


@partial(jax.jit, static_argnums=0)
def apply(model, variables, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
    return model.apply(variables, tokens, lengths, train=False)


def logits_of(name: str, tokens: jax.Array, lengths: jax.Array = LENGTHS) -> np.ndarray:
    return np.asarray(apply(MODELS[name], variables_of(MODELS[name]), tokens, lengths))


def real(logits: np.ndarray, lengths: jax.Array = LENGTHS) -> np.ndarray:
    """A tagger's logits at words; a classifier's all."""
    return logits[np.arange(logits.shape[1]) < np.asarray(lengths)[:, None]] if logits.ndim == 3 else logits


@every_model
def test_what_stands_at_padding_changes_no_bit(name: str) -> None:
    padding = np.arange(WORDS) >= LENGTHS[:, None]
    other = np.where(padding, tokens_of(2), tokens_of())
    np.testing.assert_array_equal(real(logits_of(name, tokens_of())), real(logits_of(name, other)))


@every_model
def test_more_padding_changes_nothing(name: str) -> None:
    wider = np.pad(tokens_of(), ((0, 0), (0, 5)))
    # Other shapes, so sums in another order: f32 rounding.
    np.testing.assert_allclose(real(logits_of(name, tokens_of())), real(logits_of(name, wider)), rtol=1e-5, atol=1e-6)


@every_model
def test_a_row_does_not_see_the_others(name: str) -> None:
    alone = [
        logits_of(name, tokens_of()[r : r + 1, :length], LENGTHS[r : r + 1])
        for r, length in enumerate(LENGTHS.tolist())
    ]
    parts = [one[0] for one in alone]
    together = np.concatenate(parts) if parts[0].ndim == 2 else np.stack(parts)
    np.testing.assert_allclose(real(logits_of(name, tokens_of())), together, rtol=1e-5, atol=1e-6)  # f32 rounding


@settings(max_examples=20, deadline=None)  # the first call compiles
@given(cut=st.integers(1, WORDS - 1), seed=st.integers(0, 1000))
def test_only_the_forward_twin_is_causal(cut: int, seed: int) -> None:
    full, other = np.full(BATCH, WORDS), np.where(np.arange(WORDS) < cut, tokens_of(), 1 + seed % (VOCABULARY - 1))
    forward, both = "Tagger-forward", "Tagger-lstm"
    np.testing.assert_array_equal(
        logits_of(forward, tokens_of(), full)[:, :cut], logits_of(forward, other, full)[:, :cut]
    )
    if (other != tokens_of()).any():
        assert (logits_of(both, tokens_of(), full)[:, :cut] != logits_of(both, other, full)[:, :cut]).any()


def test_both_directions_give_as_many_features_as_the_twin() -> None:
    shapes = [
        jax.eval_shape(lambda model=model: model.init(jax.random.key(0), tokens_of(), LENGTHS, train=False))["params"]
        for model in (MODELS["Tagger-lstm"], MODELS["Tagger-forward"])
    ]
    assert shapes[0]["output"]["kernel"].shape == shapes[1]["output"]["kernel"].shape == (6, 3)
    counts = [sum(leaf.size for leaf in jax.tree.leaves(tree["reader"])) for tree in shapes]
    assert counts == [44 + 2 * 4 * 3 * (4 + 3 + 1), 44 + 4 * 6 * (4 + 6 + 1)]


def test_an_odd_width_does_not_split() -> None:
    with pytest.raises(ValueError, match="a width of 5 does not split"):
        Tagger(3, VOCABULARY, width=5).init(jax.random.key(0), tokens_of(), LENGTHS, train=False)


@pytest.mark.compare
@pytest.mark.parametrize("pooling", ["max", "last"])
def test_it_is_torch_bidirectional_lstm_on_packed_sequences(pooling: str) -> None:
    torch = pytest.importorskip("torch")
    model = TextClassifier(3, VOCABULARY, embedding=4, width=6, pooling=pooling)
    variables = variables_of(model)
    params = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), variables["params"])
    lstm = torch.nn.LSTM(4, 3, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for suffix, layer in (("l0", "forward1"), ("l0_reverse", "backward1")):
            own = params["reader"][layer]  # gates in torch's order i, f, g, o
            getattr(lstm, f"weight_ih_{suffix}").copy_(own["input"].T)
            getattr(lstm, f"weight_hh_{suffix}").copy_(own["recurrent"].T)
            getattr(lstm, f"bias_ih_{suffix}").copy_(own["bias"])
            getattr(lstm, f"bias_hh_{suffix}").zero_()
        words = params["reader"]["words"]["embedding"][torch.tensor(np.array(tokens_of()))]
        lengths = torch.tensor(np.array(LENGTHS))
        packed = torch.nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        hidden, (last, _) = lstm(packed)
        hidden, _ = torch.nn.utils.rnn.pad_packed_sequence(hidden, batch_first=True, padding_value=-torch.inf)
        features = torch.cat(tuple(last), -1) if pooling == "last" else hidden.max(1).values
        expected = features @ params["output"]["kernel"] + params["output"]["bias"]
    # Seven steps of sums of seven terms, in another order: f32 rounding.
    found = model.apply(variables, tokens_of(), LENGTHS, train=False)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_pooling_takes_real_words_only() -> None:
    x = jnp.array([[[1.0, -5.0], [3.0, -1.0], [9.0, 9.0]], [[7.0, 7.0]] * 3])
    lengths = jnp.array([2, 0])
    np.testing.assert_array_equal(pooled(x, lengths, "mean"), [[2, -3], [0, 0]])
    np.testing.assert_array_equal(pooled(x, lengths, "max"), [[3, -1], [0, 0]])
    gradient = jax.grad(lambda x: pooled(x, lengths, "max").sum() + pooled(x, lengths, "mean").sum())(x)
    assert np.isfinite(gradient).all() and (gradient[0, 2] == 0).all() and (gradient[1] == 0).all()
