"""An MLP GAN on eight Gaussians in the plane: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661.

Whether it finds all eight modes is the question of Metz et al. 2017, https://arxiv.org/abs/1611.02163, section 3.1. It
finds 2, 5 and 3 (seeds 0-2).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("gan.GAN", "gaussians")

    config.model.update(dict(name="gan.mlp_gan.MLPGAN", latent=16))
    config.model.generator_widths = (128, 128)
    config.model.discriminator_widths = (128, 128)
    if arg == "tiny":
        config.model.generator_widths = config.model.discriminator_widths = (16,)

    config.task.kind = "non_saturating"

    config.train.steps = 10_000
    config.train.batch_size = 256
    config.train.log_every = 100
    config.train.eval_every = 1_000
    config.train.checkpoint_every = 1_000
    config.train.steps_per_call = 10  # its steps are short: docs/performance.md
    config.train.ema = 0.995

    config.optimizer.update(dict(name="adam", learning_rate=1e-3, b1=0.5))

    config.eval.batch_size = 500
    config.eval.sample_every = 1_000
    return common.variant(config, arg)
