"""`./launch.sh populations [CONFIG ...] [--members N] [--out FILE.json]`: what training members together gains.

A step of all members in each form, beside their own steps one after the other, in turn and in one process; and the form
that `auto` chooses for a training, by its own short measurement before.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from dlvr_jax import check, config, runtime
from dlvr_jax.benchmarks.populations import measure
from dlvr_jax.build import Experiment, build
from dlvr_jax.choose_form import form_of
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.schema import Between
from experiments.command import arguments, main
from experiments.figures import check_figures, write_figures

# Small nets, where members together pay: an MLP, LeNet-5, recurrent nets, a GPT, a DCGAN.
RECURRENT = {"model.features": "64", "model.layers": "1", "data.length": "32"}
SMALL: dict[str, dict[str, str]] = {
    "configs/ebm/energy_two_moons.py": {},
    "configs/cnn/lenet5_fashion_mnist.py": {},
    "configs/modern_rnn/lstm_shakespeare_1m.py": RECURRENT,
    "configs/modern_rnn/gru_shakespeare_1m.py": RECURRENT,
    "configs/transformer/gpt_shakespeare_1m.py:small": {"model.width": "64", "model.layers": "2", "data.length": "32"},
    "configs/gan/dcgan_fashion_mnist.py": {"model.widths": "(16, 32)"},
}


def populations(argv: Sequence[str]) -> None:
    """Prints a table for each config as it is measured, then the means of the ratios."""
    parser = arguments("populations", "A step of N members together, beside their steps one after the other.")
    parser.add_argument("configs", metavar="CONFIG", nargs="*", help="(default: six small nets)")
    parser.add_whole("--members", Between(2, 1000), default=8, metavar="N", help="of each population (default: 8)")
    parser.add_whole("--rounds", Between(1, 1000), default=10, metavar="N", help="of each measurement (default: 10)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="keep the figures")
    known, rest = parser.parse_known_args(argv)
    given = {"train.batch_size": "128", "train.steps_per_call": "1"} | config.flags(rest)
    if "population.size" in given:
        raise UserError("--config.population.size: --members says how many there are")
    check_figures(known.out)
    wanted = {name: {} for name in known.configs} if known.configs else SMALL
    runtime.start(devices=runtime.threads_at_hand())
    flags, members = {name: own | given for name, own in wanted.items()}, {"population.size": str(known.members)}
    pairs = {name: (_experiment(name, own), _experiment(name, own | members)) for name, own in flags.items()}
    rows = [_measured(name, flags[name], *pair, known.rounds) for name, pair in pairs.items()]
    chosen, best = ([row[key] for row in rows] for key in ("ratio", "best_ratio"))
    print(f"auto: from {min(chosen):.2f}, geometric mean {geometric_mean(chosen):.2f}; best {geometric_mean(best):.2f}")
    if known.out is not None:
        write_figures(known.out, "populations", argv, rows, {"members": known.members})
        print(f"figures  {known.out}")


def _measured(
    name: str, flags: dict[str, str], alone: Experiment, population: Experiment, rounds: int
) -> dict[str, Any]:
    """One config: seconds of each form, the one that auto takes, and ratios to one after the other."""
    chosen = form_of(population)[0]
    gain = measure(alone, population, rounds)
    rows = [("one after the other", f"{1000 * gain.one_after_the_other:.2f}", "1.00", "")]
    for form, seconds in gain.together.items():
        rows.append((str(form), f"{1000 * seconds:.2f}", f"{gain.ratio(form):.2f}", "auto" * (form == chosen)))
    title = name.removeprefix("configs/").replace(".py", "")
    print_table((title, "ms a step of all", "times faster", ""), rows, right=("ms a step of all", "times faster"))
    return {
        "config": name,
        "flags": flags,
        "one_after_the_other": gain.one_after_the_other,
        "together": {str(form): seconds for form, seconds in gain.together.items()},
        "auto": str(chosen),
        "ratio": gain.ratio(chosen),
        "best_ratio": max(map(gain.ratio, gain.together)),
    }


def _experiment(name: str, flags: dict[str, str]) -> Experiment:
    return build(check.complete(config.load(config.find(name)), flags).flat)


if __name__ == "__main__":
    main(populations)
