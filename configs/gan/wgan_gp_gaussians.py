"""The MLP GAN of `mlp_gan_gaussians.py` with a critic and the gradient penalty: Gulrajani et al. 2017,
https://arxiv.org/abs/1704.00028. Does the distance find all eight Gaussians, where the game of chances drops some?
It does, with each seed (0-2), in a minute.
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

    config.task.update(dict(kind="wasserstein_gp", critic_steps=5, gradient_penalty=1.0))

    config.train.steps = 6_000  # of the generator
    config.train.batch_size = 256  # of each critic update
    config.train.log_every = 100
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    config.train.ema = 0.995

    config.optimizer.update(dict(name="adam", learning_rate=1e-3, b1=0.5, b2=0.9, schedule="cosine"))

    config.eval.batch_size = 500
    config.eval.sample_every = 500
    return common.variant(config, arg)
