"""Letters backwards, by a small Transformer: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

The attention to be found is known: the antidiagonal. Every test source comes out right (seeds 0-2), after 2 minutes.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("sequence_to_sequence.SequenceToSequence", "reversal")
    config.data.update(dict(max_length=20))

    config.model.update(dict(name="transformer.transformer.Transformer", width=64, layers=2, norm_first=True))

    config.task.sources = ("a b c d e f", "f a c e f a c e f a c e")

    config.train.steps = 3000
    config.train.batch_size = 64
    config.train.log_every = 50
    config.train.eval_every = 500
    config.train.checkpoint_every = 500

    config.optimizer.update(dict(name="adam", learning_rate=2e-3, clip_norm=1.0, schedule="cosine", warmup_steps=100))

    config.eval.batch_size = 250
    config.eval.best = "loss"
    config.eval.sample_every = 500
    if arg == "tiny":
        config.data = ConfigDict(dict(name="made_up", like="reversal"))
        config.model.update(dict(width=16, layers=1, num_heads=2))
        config.optimizer.learning_rate = 0.02
    return common.variant(config, arg)
