"""E9.5: which learning rate, dropout and weight decay does a small Transformer want? Found by TPE, on letters
backwards: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization". `full` searches longer, and larger.
"""

from ml_collections import ConfigDict

from configs import common
from configs.transformer import transformer_reversal


def get_config(arg: str = "") -> ConfigDict:
    """Variants: full, tiny."""
    config = transformer_reversal.get_config("tiny" if arg == "tiny" else "")
    config.optimizer.update(dict(name="adamw", weight_decay=0.01))
    config.model.dropout = 0.1
    if not arg:
        config.model.update(dict(width=32, layers=1))
        config.train.update(dict(steps=600, eval_every=200, checkpoint_every=200))
        config.optimizer.warmup_steps = 50
        config.eval.sample_every = None
    return common.variant(config, arg, "full")


def get_sweep(arg: str = "") -> dict:
    """Generations of eight points."""
    return dict(
        question="Which learning rate, dropout and weight decay does a small Transformer want?",
        search={
            "optimizer.learning_rate": {"log_uniform": (1e-4, 3e-2)},
            "model.dropout": {"uniform": (0.0, 0.4)},
            "optimizer.weight_decay": {"log_uniform": (1e-4, 1.0)},
        },
        trials={"": 32, "tiny": 6, "full": 96}[arg],
        generation=3 if arg == "tiny" else 8,
        metric="loss",
    )
