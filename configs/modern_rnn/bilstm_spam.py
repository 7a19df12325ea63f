"""A bidirectional LSTM tells spam from wanted mail by its body: Graves & Schmidhuber 2005.

Always "ham" has a test accuracy of 0.710; this reaches 0.964 +- 0.004 (seeds 0-2) in 13 seconds.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("text_classification.TextClassification", "spam")

    config.data.max_length = 160

    config.model.update(
        dict(name="modern_rnn.bidirectional.TextClassifier", embedding=32, width=64, pooling="max", dropout=0.3)
    )

    config.train.epochs = 4  # 4,623 mails: 578 steps
    config.train.batch_size = 32
    config.train.log_every = 20
    config.train.eval_every = 100
    config.train.checkpoint_every = 100

    config.optimizer.update(dict(name="adam", learning_rate=2e-3, clip_norm=1.0, schedule="cosine", warmup_steps=50))

    config.eval.batch_size = 200
    config.eval.best = "accuracy"
    if arg == "tiny":
        config.model.update(dict(embedding=4, width=8))
        config.optimizer.learning_rate = 0.05
    return common.variant(config, arg)
