"""`./launch.sh measure CONFIG [--seeds 0-4] [--config.KEY=VALUE ...] [--out FILE.json]`: trains a config for each seed.

Each seed is a run of its own, `runs/FAMILY/NAME-FINGERPRINT` as `train` names it, one after the other; finished ones
are taken as they are, unfinished ones go on where they stopped. What came out goes to FILE.json, by default
docs/results/NAME.json, in the format of `dlvr_jax/reporting/results.py`; `results` makes docs/results.md from it.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import jax

from dlvr_jax import check, config, guarantee
from dlvr_jax.atomic_write import check_file
from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start
from dlvr_jax.metrics.features import FeatureNet
from dlvr_jax.metrics.set_up import in_words, is_of, recorded, unlike
from dlvr_jax.reporting.console import warn
from dlvr_jax.reporting.readable import duration, headline, number
from dlvr_jax.reporting.results import Result, Spread, read, write
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.run import Run
from dlvr_jax.tasks.image_quality import is_judged
from dlvr_jax.tasks.task import Task
from experiments.command import SEEDS, arguments, main

MOST = 1000  # seeds


def measure(argv: Sequence[str]) -> int:
    """Trains, collects, writes and prints; the exit code is not 0 where a signal stopped a training."""
    parser = arguments("measure", "Train a config for each of several seeds, and keep what came out.")
    parser.add_argument("config", metavar="CONFIG", help="configs/FAMILY/NAME.py, or with an argument NAME.py:tiny")
    parser.add_argument("--seeds", default="0-4", help="as 0-4 or 0,3,7 (default: 0-4)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the result (default: docs/results/NAME.json)")
    known, rest = parser.parse_known_args(argv)
    source, flags, seeds = config.find(known.config), config.flags(rest), _seeds(known.seeds)
    out = _out(known.out, source, flags)
    runs = [Run(_start(source, flags, seed).folder) for seed in seeds]
    jax.config.update("jax_platforms", "cpu")  # of this process, which only looks at shapes: the device is for training
    task = build(_start(source, flags, seeds[0]).complete.flat).task
    for seed, run in zip(seeds, runs, strict=True):
        if code := _train([str(source), f"--config.seed={seed}", *rest], seed, run):
            return code
    command = shlex.join(["./launch.sh", "measure", *argv])
    result = _result(source, flags, seeds, runs, command, task)
    write(out, result)
    _print(result, out)
    return 0


def _seeds(text: str) -> list[int]:
    """'0-4' or '0,3,7' or both."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,20})(?:-(\d{1,20}))?", part)
        if not found:
            raise UserError(f"--seeds {text}: is not of the form 0-4 or 0,3,7")
        first, last = int(found[1]), int(found[2] or found[1])
        if max(first, last) not in SEEDS:
            raise UserError(f"--seeds {text}: must be {SEEDS}")
        if last - first + len(seeds) >= MOST:
            raise UserError(f"--seeds {text}: names more than {MOST} seeds")
        seeds += range(first, last + 1)
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text}: names {'a seed twice' if seeds else 'no seed'}")
    return seeds


def _out(path: Path | None, source: config.Source, flags: dict[str, str]) -> Path:
    """Where the result goes; nothing that measured something else."""
    if "seed" in flags:
        raise UserError("--config.seed: --seeds says which seeds are measured")
    if path is None and flags:
        raise UserError("--out: is needed with --config flags, whose result is not that of the config as it is")
    out = path or config.ROOT / "docs" / "results" / f"{source.name}.json"
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; give a file, as {out / f'{source.name}.json'}")
    if out.exists() and ((there := read(out)).config, there.flags) != (str(source), flags):
        raise UserError(f"--out {out}: holds a result of {there.config} with other flags; choose another file")
    check_file(out)
    return out


def _start(source: config.Source, flags: dict[str, str], seed: int) -> Start:
    return Start(source, check.complete(config.load(source), {**flags, "seed": str(seed)}))


def _train(arguments: Sequence[str], seed: int, run: Run) -> int:
    """Runs `train` in a process of its own, which gets this one's signals; 0, or the code of a signal.

    Raises:
        UserError: the training failed, for the reason that it has printed.
    """
    if run.summary() is not None:
        print(f"seed {seed}: {run.path} is finished")
        return 0
    print(f"seed {seed}: {run.path}", flush=True)
    paths = [str(config.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    child = subprocess.Popen([sys.executable, "-m", "experiments", "train", *arguments], env=environment)
    with _passed_on(child):
        code = child.wait()
    if code not in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM):
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise UserError(f"seed {seed} failed ({how}) in {run.path}; the same command takes it up again")
    return code


@contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C, which a terminal sends to the training as well, and SIGTERM let the training save its state and end."""
    before = signal.signal(signal.SIGINT, lambda *_: None), signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _result(
    source: config.Source, flags: dict[str, str], seeds: list[int], runs: list[Run], command: str, task: Task
) -> Result:
    """What all runs together say. They may be of several commits, which the result lists.

    Raises:
        UserError: they were not made in one environment, so that their times and bits do not belong together.
    """
    environments = [run.environment for run in runs]
    for run, environment in zip(runs, environments, strict=True):
        if differ := guarantee.differences(environments[0], {**environment, "git": environments[0]["git"]}):
            raise UserError(
                f"{run.path} was made elsewhere than {runs[0].path}: {differ[0]}; move one away and measure again"
            )
    summaries = [run.summary() or {} for run in runs]
    figures = summaries[0]["metrics"]
    tested = [name for name in figures if name.startswith("test/")]
    names = [name for name in tested if name in headline(figures) or is_judged(name.removeprefix("test/"))]
    windows = [_last_window(run) for run in runs]
    training = {f"train/{name}": Spread.over([window[name] for window in windows]) for name in windows[0]}
    best = runs[0].config["eval"]["best"]
    metric = best or next(iter(task.directions))
    commits = {json.dumps(summary["git"], sort_keys=True): summary["git"] for summary in summaries}
    if any(commit.get("dirty") for commit in commits.values()):
        warn("files differed from their commit while this was measured")
    if len({commit.get("commit") for commit in commits.values()}) > 1:
        warn("the seeds were trained at several commits, which may compute otherwise; the result lists them")
    return Result(
        config=str(source),
        flags=flags,
        command=command,
        date=datetime.now(UTC).date().isoformat(),
        seeds=seeds,
        metric=f"test/{metric}",
        lower_is_better=task.directions[metric] == "lower",
        metrics={name: Spread.over([summary["metrics"][name] for summary in summaries]) for name in names} | training,
        history=[_history(run, metric) for run in runs],
        seconds=Spread.over([summary["seconds"] for summary in summaries]),
        parameters=summaries[0]["parameters"],
        steps=summaries[0]["step"],
        params_sha256=[summary["params_sha256"] for summary in summaries],
        data=summaries[0]["data"],
        device=environments[0]["device"],
        cpu=environments[0]["cpu"],
        versions=environments[0]["versions"],
        git=[commits[key] for key in sorted(commits)],
        set_up=_set_up(runs, summaries),
    )


def _set_up(runs: list[Run], summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What FID and its like rest on, in words; None where there are none.

    Raises:
        UserError: the seeds were judged unlike, or the file of the network is another one by now.
    """
    found = [recorded(summary["metrics"], "test/") for summary in summaries]
    for run, own in zip(runs, found, strict=True):
        if differs := unlike(found[0], own):
            raise UserError(f"{run.path} was judged otherwise than {runs[0].path}, by {', '.join(differs)}")
    if not found[0]:
        return None
    net = FeatureNet(runs[0].config["task"]["features"])
    if not is_of(net, found[0]):
        raise UserError(f"{net.path} is another network than judged {runs[0].path}; put that one back")
    return in_words(net, found[0], summaries[0]["data"]["name"], "test")


def _last_window(run: Run) -> dict[str, float]:
    """What the task logged of the last training steps: no times, and of the update only the gradient's norm."""
    window = [line for line in run.metrics() if line["split"] == "train"][-1]
    return {
        name: value
        for name, value in window.items()
        if isinstance(value, float)
        and not name.endswith(("learning_rate", "update_norm", "parameter_norm", "second", "seconds"))
    }


def _history(run: Run, metric: str) -> dict[str, float]:
    """The metric of each validation, by its step."""
    return {str(line["step"]): line[metric] for line in run.metrics() if line["split"] == "validation"}


def _print(result: Result, out: Path) -> None:
    rows = [
        (name, str(spread), number(median(spread.values)), ", ".join(map(number, spread.values)))
        for name, spread in result.metrics.items()
    ]
    seconds = result.seconds
    rows.append(
        ("time", duration(seconds.mean), duration(median(seconds.values)), ", ".join(map(duration, seconds.values)))
    )
    print_table((f"{len(result.seeds)} seeds", "mean ± deviation", "median", "each"), rows)
    print(f"result  {out}")


if __name__ == "__main__":
    main(measure)
