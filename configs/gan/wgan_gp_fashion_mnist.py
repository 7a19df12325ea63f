"""WGAN-GP on Fashion-MNIST: Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, whose algorithm 1 has this
optimiser, penalty, batch size and number of critic updates; data by Xiao et al. 2017, https://arxiv.org/abs/1708.07747.

FID 3.65 on the test split (seed 0) by the features of a small VGG: see docs/gan.md. The critic's gradient has a norm of
1.046 at the end.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("gan.GAN", "fashion_mnist")

    config.model.update(dict(name="gan.wgan_gp.WGANGP", latent=100, widths=(32, 64)))
    if arg == "tiny":
        config.model.widths = (4, 8)

    config.task.update(dict(kind="wasserstein_gp", critic_steps=5, gradient_penalty=10.0))

    config.train.steps = 4_000  # of the generator
    config.train.batch_size = 64  # of each critic update
    config.train.log_every = 100
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    config.train.ema = 0.999

    config.optimizer.update(dict(name="adam", learning_rate=1e-4, b1=0.0, b2=0.9))

    config.eval.batch_size = 500
    config.eval.sample_every = 500
    return common.variant(config, arg)
