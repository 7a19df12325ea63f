"""Letters backwards, by an LSTM encoder-decoder without attention: Sutskever et al. 2014, arxiv.org/abs/1409.3215.

All that the decoder knows of the source is one vector. By their widths, the three forms have
161,500 to 164,900 parameters on this data. Of the test sources 0.62 +- 0.03 come out right, and 0.29 +- 0.04 of the
longer half (seeds 0-2), after 1.5 minutes.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("sequence_to_sequence.SequenceToSequence", "reversal")
    config.data.max_length = 20

    config.model.update(dict(name="attention.encoder_decoder.EncoderDecoder", attention="none", width=126))

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
