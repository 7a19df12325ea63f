"""A simple recurrent network forecasts log returns of the S&P 500, five days ahead: Elman 1990.

The forecast to beat is zero (tomorrow's price is today's), and there may be nothing to find. Persistence of returns is
no benchmark: whoever forecasts anything near zero has a skill of about 0.5 against it. Nothing was
found: skill against zero on the test split -0.009 +- 0.007 (seeds 0-2).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("forecasting.Forecasting", "sp500")

    config.data.update(dict(length=30, horizon=5))

    config.model.update(dict(name="rnn.elman.Elman", width=16, dropout=0.3))

    config.train.epochs = 10  # 3,487 windows: 1,090 steps
    config.train.batch_size = 32
    config.train.log_every = 200
    config.train.eval_every = 50
    config.train.checkpoint_every = 50
    config.train.steps_per_call = 10  # its steps are short: docs/performance.md

    config.optimizer.update(
        dict(name="adam", learning_rate=1e-3, weight_decay=1e-2, clip_norm=1.0, schedule="cosine", warmup_steps=50)
    )

    config.eval.batch_size = 200
    config.eval.best = "loss"
    if arg == "tiny":
        config.model.width = 8
        config.optimizer.learning_rate = 0.02
    return common.variant(config, arg)
