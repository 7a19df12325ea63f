"""E11.4: how many updates of the critic does WGAN-GP want for one of the generator? Gulrajani et al. 2017,
https://arxiv.org/abs/1704.00028, algorithm 1 has five; eight Gaussians here, Fashion-MNIST in `full`.
"""

from ml_collections import ConfigDict

from configs import common
from configs.gan import wgan_gp_fashion_mnist, wgan_gp_gaussians


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    if arg == "full":
        return wgan_gp_fashion_mnist.get_config()
    config = wgan_gp_gaussians.get_config(arg)
    if not arg:
        config.train.update(dict(steps=3_000, eval_every=500, checkpoint_every=500))
        config.eval.sample_every = None
    return common.variant(config, arg)


def get_sweep(arg: str = "") -> dict:
    """Equal steps of the generator, three seeds each."""
    return dict(
        question="How many updates of the critic does WGAN-GP want for one of the generator?",
        seeds=(0, 1, 2),
        grid={"task.critic_steps": (1, 2, 5, 10)},
        metric="sliced_wasserstein",
    )
