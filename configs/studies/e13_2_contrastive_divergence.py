"""E13.2: does a restricted Boltzmann machine learn more from longer chains, or from chains that persist? Hinton 2002,
doi 10.1162/089976602760128018, and Tieleman 2008, doi 10.1145/1390156.1390290. `full` has one four times as wide.
"""

from ml_collections import ConfigDict

from configs import common
from configs.ebm import rbm_digits


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = rbm_digits.get_config("tiny" if arg == "tiny" else "")
    if arg != "tiny":
        config.eval.sample_every = None
    if arg == "full":
        config.model.hidden = 512
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Gibbs steps an update, of chains that begin at the data or go on; three seeds each."""
    return dict(
        question="Does a restricted Boltzmann machine learn more from longer chains, or from chains that persist?",
        seeds=(0, 1, 2),
        grid={"task.persistent": (False, True), "task.steps": (1, 5, 10)},
        metric="log_likelihood",
    )
