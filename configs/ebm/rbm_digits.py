"""A restricted Boltzmann machine on scikit-learn's digits by contrastive divergence: Hinton 2002, doi
10.1162/089976602760128018. 8 x 8 pixels, of which those above half are on.

The data comes with scikit-learn, so this needs no network.
Test log-likelihood -16.52 +- 0.05 nats an image (seeds 0-2).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("contrastive_divergence.ContrastiveDivergence", "digits")
    config.data.size = 8

    config.model.update(dict(name="ebm.rbm.RBM", hidden=128))

    config.task.steps = 1

    config.train.steps = 12_000
    config.train.batch_size = 64
    config.train.log_every = 200
    config.train.eval_every = 1_000
    config.train.checkpoint_every = 1_000
    config.train.steps_per_call = 10  # its steps are short: docs/performance.md

    config.optimizer.update(dict(name="sgd", learning_rate=0.05, momentum=0.5, schedule="cosine"))

    config.eval.batch_size = 300
    config.eval.sample_every = 2_000
    config.eval.best = "pseudo_log_likelihood"  # exact; annealed importance sampling fails to the high side
    if arg == "tiny":
        config.model.hidden = 16
        config.task.update(dict(ais_chains=10, ais_temperatures=50))
    return common.variant(config, arg)
