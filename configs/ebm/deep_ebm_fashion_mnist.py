"""A convolutional energy of Fashion-MNIST's images: Du and Mordatch 2019, https://arxiv.org/abs/1903.08689; the net is
Nijkamp et al. 2019's, https://arxiv.org/abs/1904.09770, narrower.

It tells test images from noise with an AUROC of 1.000, from `animals` with 0.657 (seed 0), after 13 minutes on two
cores.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("energy.Energy", "fashion_mnist")

    config.model.update(dict(name="ebm.energy_net.EnergyNet", widths=(16, 32, 64)))

    config.task.update(dict(langevin_steps=40, step_size=10.0, noise=0.005, clip=0.03, energy_l2=0.1))
    config.task.other_data = "animals"

    config.train.steps = 6_000
    config.train.batch_size = 64
    config.train.log_every = 100
    config.train.eval_every = 1_000
    config.train.checkpoint_every = 1_000
    config.train.ema = 0.999

    config.mesh = ConfigDict(dict(data=None))  # one device or several, as is quicker

    config.optimizer.update(dict(name="adam", learning_rate=2e-4, b1=0.0, clip_norm=0.1, schedule="cosine"))
    config.optimizer.warmup_steps = 100

    config.eval.batch_size = 500
    config.eval.sample_every = 1_000
    if arg == "tiny":
        config.model.widths = (4, 8)
        config.task.update(dict(langevin_steps=3, buffer_size=40, other_data=None))
    return common.variant(config, arg)
