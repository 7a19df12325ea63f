"""English to German, by an LSTM encoder-decoder with the attention of Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473.

Test BLEU 1.62 +- 0.35 (seeds 0-2), 25 minutes on one core beside other work.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("sequence_to_sequence.SequenceToSequence", "en_de")

    config.data.max_words = 8

    config.model.update(dict(name="attention.encoder_decoder.EncoderDecoder", attention="bahdanau"))
    config.model.update(dict(width=192, embedding=128, dropout=0.3))

    config.task.update(
        dict(
            label_smoothing=0.1,
            sources=("I am cold.", "Where is the station?", "She has lived here for ten years.", "I did not see him."),
        )
    )

    config.train.epochs = 30  # 8,269 pairs: 3,877 steps
    config.train.batch_size = 64
    config.train.log_every = 50
    config.train.eval_every = 500
    config.train.checkpoint_every = 500

    config.optimizer.update(dict(name="adam", learning_rate=1e-3, clip_norm=1.0, schedule="cosine", warmup_steps=200))

    config.eval.batch_size = 200
    config.eval.best = "bleu"
    config.eval.sample_every = 500
    if arg == "tiny":
        config.data = ConfigDict(dict(name="made_up", like="reversal"))
        config.model.update(dict(width=16, embedding=8))
        config.optimizer.learning_rate = 0.02
    return common.variant(config, arg)
