"""An energy for each of two moons, which classifies points and is low where they lie: LeCun et al. 2006, "A Tutorial on
Energy-Based Learning"; Grathwohl et al. 2020, https://arxiv.org/abs/1912.03263.

The points are made on the spot. `--config.model.form=linear` is what fails; `--config.data.name=rings` other data;
`--config.task.langevin_steps=none` only classifies, and leaves the energies where no data lie to chance.
Test accuracy 1.000 with each seed (0-2) in 14 seconds.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("energy_classification.EnergyClassification", "two_moons")

    config.model.update(dict(name="ebm.energy_mlp.EnergyMLP", form="mlp", hidden=(64, 64)))

    config.task.update(dict(langevin_steps=20, step_size=0.005, energy_l2=0.05))

    config.train.steps = 3_000
    config.train.batch_size = 128
    config.train.log_every = 100
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    config.train.steps_per_call = 10  # its steps are short: docs/performance.md

    config.optimizer.update(dict(name="adam", learning_rate=1e-3, schedule="cosine"))

    config.eval.batch_size = 500
    config.eval.sample_every = 500
    config.eval.best = "accuracy"
    if arg == "tiny":
        config.model.hidden = (16, 16)
        config.task.langevin_steps = 3
    return common.variant(config, arg)
