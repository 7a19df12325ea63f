"""Letters backwards, by an LSTM encoder-decoder with general attention: Luong et al. 2015, https://arxiv.org/abs/1508.04025.

The attention to be found is known: the antidiagonal. By their widths, the three forms have 161,500 to 164,900
parameters on this data. Every test source comes out right (seeds 0-2), after 1.5 minutes.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("sequence_to_sequence.SequenceToSequence", "reversal")
    config.data.max_length = 20

    config.model.update(dict(name="attention.encoder_decoder.EncoderDecoder", attention="luong_general", width=92))

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
        config.model.update(dict(width=16, embedding=8))
        config.optimizer.learning_rate = 0.02
    return common.variant(config, arg)
