"""`python -m dlvr_jax.benchmarks.devices CONFIG [FLAG ...]` prints how many devices a training of the config takes.

Where the config leaves that open it is measured, on made-up examples, and remembered for trainings as well. It is a
process of its own, so that those that are measured compile nothing before.
"""

import sys

from dlvr_jax import check, config, runtime
from dlvr_jax.benchmarks.ours import measurable
from dlvr_jax.choose_form import devices_to_make, on_devices


def main(name: str, *flags: str) -> None:
    """Prints the number."""
    complete = check.complete(config.load(config.find(name)), config.flags(flags))
    runtime.start(devices=devices_to_make(complete.flat))
    experiment, _ = on_devices(measurable(complete))
    print(experiment.devices)


if __name__ == "__main__":
    main(*sys.argv[1:])
