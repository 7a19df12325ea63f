"""GPT on nine plays of Shakespeare, character by character: Radford et al. 2019 (GPT-2), section 2.3.

Test loss (seed 0) 1.636 nats a character, 35 minutes on 2 cores of an Intel Xeon, and 1.668, 48 minutes on one core of
an AMD EPYC, both beside other work; made by `./launch.sh measure` of this file.

Two budgets: this, of 2.7 million parameters, and `small`, of 0.8 million, the setting that nanoGPT's README
(https://github.com/karpathy/nanoGPT) gives for a CPU and where it reports 1.88 on another text of Shakespeare.
Reference on the test tenth of this one: a modified Kneser-Ney 5-gram has 1.711 nats a character.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variants: small, tiny."""
    config = common.experiment("language_model.LanguageModel", "shakespeare_1m")

    config.data.length = 256  # characters of a window

    config.model.update(dict(name="transformer.gpt.GPT", context=256, width=192, layers=6, num_heads=6, dropout=0.2))
    config.model.positions = "rotary"  # with learned ones the loss stays at that of pairs for up to 1,000 steps

    config.train.steps = 5_000  # of 8 x 256 = 2,048 characters: 10.7 epochs
    config.train.batch_size = 8
    config.train.log_every = 50
    config.train.eval_every = 500
    config.train.checkpoint_every = 500

    # On validation 1e-3 is at 2.23 nats after 500 steps of 16 windows with learned positions, 3e-3 at 2.13.
    config.optimizer.update(dict(name="adamw", learning_rate=3e-3, b1=0.9, b2=0.99, weight_decay=0.1, clip_norm=1.0))
    config.optimizer.update(dict(schedule="cosine", warmup_steps=100))

    config.eval.batch_size = 32
    config.eval.best = "loss"
    config.eval.sample_every = 500
    if arg == "small":
        _small(config)
    if arg == "tiny":
        config.model.update(dict(context=64, width=32, layers=1, num_heads=2))
    return common.variant(config, arg, "small")


def _small(config: ConfigDict) -> None:
    """4 layers of width 128, 64 characters at once, 2,000 steps of 12 windows (1.6 epochs), no dropout.

    The learning rate is the best on validation of 1e-3, as there, 3e-3 and 6e-3 (1.891, 1.795, 1.788 nats).
    Test loss 1.869 +- 0.010 nats a character (seeds 0-2).
    """
    config.data.length = 64
    config.model.update(dict(positions="learned", context=64, width=128, layers=4, num_heads=4, dropout=None))
    config.train.update(dict(steps=2_000, batch_size=12))
    config.optimizer.learning_rate = 6e-3
