"""E8.2: how deep should a stacked LSTM be? Shakespeare, character by character, with layers of equal width: Graves
2013, https://arxiv.org/abs/1308.0850. `full` has the width and the length of the family's config.
"""

from ml_collections import ConfigDict

from configs import common
from configs.modern_rnn import lstm_shakespeare_1m


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = lstm_shakespeare_1m.get_config("tiny" if arg == "tiny" else "")
    if not arg:
        del config.train.epochs
        config.model.update(dict(embedding=32, features=96, dropout=None))
        config.train.update(dict(steps=1_500, eval_every=500, checkpoint_every=500))  # 3.2 epochs
        config.eval.sample_every = None
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """One to four layers, three seeds each."""
    return dict(
        question="How deep should a stacked LSTM be, at this budget?",
        seeds=(0, 1, 2),
        grid={"model.layers": (1, 2, 3, 4)},
    )
