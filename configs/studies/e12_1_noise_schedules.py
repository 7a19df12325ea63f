"""E12.1: which noise schedule serves a small DDPM best, by its bound on the likelihood? Digits of 8 x 8 pixels; papers:
`dlvr_jax/layers/noise_schedules.py`. `full` asks the same of Fashion-MNIST.
"""

from ml_collections import ConfigDict

from configs import common
from configs.diffusion import ddpm_fashion_mnist


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = ddpm_fashion_mnist.get_config("tiny" if arg == "tiny" else "")
    if not arg:
        del config.train.epochs
        config.data.update(dict(name="digits", size=8))
        config.model.update(dict(multipliers=(1, 2), attention=(4,)))
        config.task.timesteps = 200
        config.train.update(dict(steps=3_000, eval_every=1_000, checkpoint_every=1_000, ema=0.995))
        config.optimizer.warmup_steps = 100
        config.eval.batch_size = 300
        config.eval.sample_every = None
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Three schedules, three seeds each."""
    return dict(
        question="Which noise schedule serves a small DDPM best, by its bound on the likelihood?",
        seeds=(0, 1, 2),
        grid={"task.schedule": ("linear", "cosine", "sigmoid")},
        metric="bits_per_dimension",
    )
