"""E10.3: how should a GPT be told where a token stands? Shakespeare, character by character; papers:
`dlvr_jax/layers/positions.py`. `full` has the family's larger budget, whose rate was chosen with rotary positions.
"""

from ml_collections import ConfigDict

from configs import common
from configs.transformer import gpt_shakespeare_1m


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = gpt_shakespeare_1m.get_config({"": "small", "full": "", "tiny": "tiny"}.get(arg, arg))
    if not arg:
        config.model.update(dict(width=96, layers=3))
        config.train.update(dict(steps=1_500, eval_every=500, checkpoint_every=500))
        config.eval.sample_every = None
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Four kinds, three seeds each."""
    return dict(
        question="How should a GPT be told where a token stands?",
        seeds=(0, 1, 2),
        grid={"model.positions": ("none", "sinusoidal", "learned", "rotary")},
    )
