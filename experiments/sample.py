"""`./launch.sh sample RUN [--seed N] [--OPTION=VALUE ...]`: what a run's model makes, as text here and as a page.

The options are those of the task's `sample`: `./launch.sh sample RUN --help` lists them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlvr_jax.errors import UserError
from dlvr_jax.recorded import experiment_of, restored
from dlvr_jax.reporting.page import write_displays_page
from dlvr_jax.reporting.tables import print_displays
from dlvr_jax.run import Run
from dlvr_jax.schema import REQUIRED, Between, Field, allowed, fault_of, fields_of, nearest, normal, parse, written
from dlvr_jax.tasks.task import as_evaluated
from dlvr_jax.training.training import chosen_state, which_state
from experiments.command import SEEDS, arguments, main


def sample(argv: Sequence[str]) -> int:
    """Samples once, prints the passages and writes `sample.html` into the run's folder."""
    parser = arguments("sample", "Sample from a run's model; options are those of its task, as --temperature=0.8.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run, finished or not")
    parser.add_whole("--seed", SEEDS, default=0, help="of the random numbers (default: 0)")
    parser.add_whole("--step", Between(0, None), help="of the checkpoint (default: the newest whole one)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: sample.html in the run's folder)")
    parser.epilog = _options_of(argv)
    known, rest = parser.parse_known_args(argv)
    run = Run(known.run)
    experiment = experiment_of(run)
    if experiment.task.sample is None:
        raise UserError(f"{run.path}: {experiment.flat['task.name']} has nothing to sample; try predict")
    options = _options(experiment.task.sample, rest)
    training = restored(run, experiment, known.step)
    state = as_evaluated(chosen_state(training))
    shown = experiment.task.sample(state, known.seed, **options)
    print_displays(shown)
    facts = [which_state(training), f"seed {known.seed}", *(f"{name} {value}" for name, value in options.items())]
    print(f"page  {write_displays_page(known.out or run.path / 'sample.html', run.path.name, 'Samples', facts, shown)}")
    return 0


def _options_of(argv: Sequence[str]) -> str:
    """For `--help` after a run, the options of its task; else where to find them."""
    asked = bool({"-h", "--help"} & set(argv))
    runs = [Run(Path(word)) for word in argv if asked and not word.startswith("-") and Run(Path(word)).exists()]
    if not runs:
        return "after RUN, --help also lists the options of its task"
    experiment = experiment_of(runs[0])
    own = {} if experiment.task.sample is None else fields_of(experiment.task.sample)
    return f"options of {experiment.flat['task.name']}: {_listed(own)}"


def _listed(fields: Mapping[str, Field]) -> str:
    def default(field: Field) -> str:
        return "must be given" if field.default is REQUIRED else f"default: {written(field.default)}"

    listed = (f"--{name}: {allowed(field)} ({default(field)})" for name, field in fields.items())
    return "; ".join(listed) or "none"


def _options(sampler: Callable[..., Any], given: Sequence[str]) -> dict[str, Any]:
    """`--NAME=VALUE` as the arguments of the task's `sample`, typed.

    Raises:
        UserError: all faults, a line each.
    """
    fields, options, faults = fields_of(sampler), {}, []
    there = _listed(fields)
    for argument in given:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals:
            faults.append(f"{argument}: options are given as --NAME=VALUE; there are {there}")
        elif name not in fields:
            faults.append(f"--{name}: no such option{nearest(name, list(fields))}; there are {there}")
        else:
            value = options[name] = normal(parse(text, fields[name]), fields[name])
            if fault := fault_of(value, fields[name]):
                faults.append(f"--{name} {fault}")
    if faults:
        raise UserError(*faults)
    return options


if __name__ == "__main__":
    main(sample)
