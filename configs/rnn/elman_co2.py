"""A simple recurrent network forecasts the yearly rise of carbon dioxide, a quarter ahead: Elman 1990.

The forecast to beat is persistence: a year ago, plus the present rise over a year. Mean
absolute error on the test split 0.588 +- 0.017 ppm (seeds 0-2) against 0.609, which is no more than chance gives.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("forecasting.Forecasting", "co2")

    config.data.update(dict(length=52, horizon=13))

    config.model.update(dict(name="rnn.elman.Elman", width=32))

    config.train.epochs = 10  # 1,498 windows: 470 steps; more only fits the train span, whose rises were smaller
    config.train.batch_size = 32
    config.train.log_every = 100
    config.train.eval_every = 50
    config.train.checkpoint_every = 50
    config.train.steps_per_call = 10  # its steps are short: docs/performance.md

    config.optimizer.update(
        dict(name="adam", learning_rate=2e-3, weight_decay=1e-2, clip_norm=1.0, schedule="cosine", warmup_steps=50)
    )

    config.eval.batch_size = 200
    config.eval.best = "loss"
    if arg == "tiny":
        config.model.width = 8
        config.optimizer.learning_rate = 0.02
    return common.variant(config, arg)
