"""E7.3: GRU or LSTM, at equal parameters? One layer on Shakespeare, character by character: Cho et al. 2014,
https://arxiv.org/abs/1406.1078, and Hochreiter & Schmidhuber 1997. `full` has the two layers of the families' configs.
"""

from ml_collections import ConfigDict

from configs import common
from configs.modern_rnn import lstm_shakespeare_1m


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = lstm_shakespeare_1m.get_config("tiny" if arg == "tiny" else "")
    if not arg:
        del config.train.epochs
        config.model.update(dict(embedding=32, layers=1, dropout=None))
        config.train.update(dict(steps=2_000, eval_every=500, checkpoint_every=500))  # 4.3 epochs
        config.eval.sample_every = None
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Widths at which both have about as many parameters, three seeds each."""
    lstm, gru = {"": (128, 151), "tiny": (24, 29), "full": (256, 298)}[arg]
    return dict(
        question="GRU or LSTM, at equal parameters?",
        seeds=(0, 1, 2),
        points=(
            {"model.name": "modern_rnn.lstm.LSTM", "model.features": lstm},
            {"model.name": "modern_rnn.gru.GRU", "model.features": gru},
        ),
    )
