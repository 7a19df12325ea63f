"""One config measured: our training step and inference, alone or in turn with a peer's."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dlvr_jax.benchmarks.peak import sheet_peak
from dlvr_jax.benchmarks.process import Processes, Side
from dlvr_jax.errors import UserError

BLOCK_SECONDS = 0.2  # of steps that are timed together
LOOP_SECONDS = 0.5  # of steps by which the whole loop is timed, once and three times; short, since machines drift
LOOP_ROUNDS = 9  # of which the median counts; of long steps fewer, down to 3
LOOP_LONGEST = 30.0  # seconds of all rounds, from which on there are fewer
SAME_LOSS = 1e-3  # relative: of one forward pass in float32; of a bfloat16 one nothing is asked
PROFILED = 5  # steps
KEPT = ("parameters", "precision", "flops_per_step", "peak_bytes")
ALONE = ("compile_seconds", "seconds_to_first_step")  # true only of a config that is compiled by itself
Times = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # by what was done: seconds a step, ours and the peer's


@dataclass(frozen=True)
class Settings:
    """How rows are measured."""

    rounds: int  # of blocks of steps
    peer_python: str | None  # the interpreter that has PyTorch; None measures ours alone
    threads: int
    peak_size: int  # of the matrices by which the device's peak is measured
    at_once: int  # configs that are compiled side by side
    tell: Callable[[str], None]  # of progress
    profile: Path | None = None  # where to leave a trace of each config's steps


@dataclass(frozen=True)
class Pair:
    """Both sides of a config, compiled and waiting. Of peers there are two: eager and compiled."""

    name: str
    flags: Mapping[str, str]
    folder: Path  # that they share
    ours: Side
    peers: Sequence[Side]


@contextlib.contextmanager
def prepared(name: str, flags: Mapping[str, str], settings: Settings, processes: Processes) -> Iterator[Pair]:
    """Starts both sides, adds them to `processes`, and ends them.

    Raises:
        UserError: a side cannot do it, or the two do not compute the same.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        environment = {
            "TMPDIR": str(folder),  # so that what an ended side leaves goes with it
            "NPROC": str(settings.threads),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the sides share a device
            "TORCHINDUCTOR_COMPILE_THREADS": str(max(1, settings.threads // settings.at_once)),
            "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # as ours has none
        }
        given = [f"--config.{key}={value}" for key, value in flags.items()]
        command = [sys.executable, "-m", "dlvr_jax.benchmarks.ours", str(folder), name, *given]
        ours = stack.enter_context(Side(command, environment, processes))
        settings.tell(f"{name}: ours is compiled")
        peers = []
        if settings.peer_python is not None:
            command = [settings.peer_python, "-m", "dlvr_jax.benchmarks.peers", str(folder)]
            peers.append(stack.enter_context(Side([*command, "eager"], environment, processes)))
            try:
                peers.append(stack.enter_context(Side([*command, "compiled"], environment, processes)))
            except UserError as error:  # it needs a C++ compiler, and does not know every network
                settings.tell(f"{name}: PyTorch's cannot be compiled: {error}")
            settings.tell(f"{name}: PyTorch's is ready, {' and '.join(peer.told['mode'] for peer in peers)}")
            for peer in peers:
                _check_equal(ours.told, peer.told)
        yield Pair(name, flags, folder, ours, peers)


def measure(pair: Pair, settings: Settings) -> dict[str, Any]:
    """The row of a pair, as JSON holds it; times in seconds."""
    peers = {what: _fastest(pair.peers, what) for what in ("train", "infer") if pair.peers}
    times = {what: _in_turn(pair.ours, peers.get(what), what, settings.rounds) for what in ("train", "infer")}
    row = _row(pair, {what: ours for what, (ours, _) in times.items()}, settings)
    if peers:
        row |= _compared(times, peers)
    if settings.profile is not None:
        row["operations"] = pair.ours.ask("profile", PROFILED)
        name = pair.name.removeprefix("configs/").replace(".py", "").replace("/", "-").replace(":", "-")
        shutil.copytree(pair.folder / "profile", settings.profile / name, dirs_exist_ok=True)
    return row


def _fastest(peers: Sequence[Side], what: str) -> Side:
    """Eager or compiled."""
    return min(peers, key=lambda peer: min(peer.ask(what, 3) for _ in range(3)))


def _in_turn(ours: Side, peer: Side | None, what: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each side's step, in blocks: A B A B ..."""
    sides = [side for side in (ours, peer) if side is not None]
    sizes = [_block(side, what) for side in sides]
    times: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for side, size, taken in zip(sides, sizes, times, strict=False):
            taken.append(side.ask(what, size))
    return times


def _block(side: Side, what: str) -> int:
    """How many steps take about BLOCK_SECONDS; measuring that warms up."""
    side.ask(what, 1)
    return max(1, round(BLOCK_SECONDS / side.ask(what, 2)))


def _row(pair: Pair, times: Mapping[str, Sequence[float]], settings: Settings) -> dict[str, Any]:
    ours, told, train, infer = pair.ours, pair.ours.told, times["train"], times["infer"]
    device = told["environment"]["device"]
    devices = 1 if device["platform"] == "cpu" else told["devices"]  # those of a CPU are its threads
    step, peak = median(train), devices * ours.ask("peak", settings.peak_size)
    tokens = told["tokens_per_example"]
    sheet = devices * (sheet_peak(device["kind"], told["precision"]) or 0)
    return {
        "config": pair.name,
        "flags": dict(pair.flags),
        "seconds_per_step": step,
        **_spread("seconds_per_step", train),
        "examples_per_second": told["examples_per_step"] / step,
        "tokens_per_second": None if tokens is None else told["examples_per_step"] * tokens / step,
        "inference_seconds": median(infer),
        **_spread("inference_seconds", infer),
        **{key: told[key] for key in KEPT},
        **{key: told[key] if settings.at_once == 1 else None for key in ALONE},
        "measured_peak": peak,
        "utilisation": told["flops_per_step"] / step / peak,
        "utilisation_of_data_sheet": told["flops_per_step"] / step / sheet if sheet else None,
        "input_seconds": ours.ask("input", 20),
        "loop_overhead": _loop_overhead(ours, step),
        "checkpoint_stall_seconds": ours.ask("checkpoint", 3),
        "environment": told["environment"],
    }


def _loop_overhead(ours: Side, step: float) -> float:
    """A step in the whole loop over the bare one beside it. `step`: about so many seconds."""
    steps = max(2, round(LOOP_SECONDS / step))
    rounds = max(3, min(LOOP_ROUNDS, int(LOOP_LONGEST / (6 * steps * step))))
    ours.ask("loop", 2)  # what only the first run does: imports, and the memory of two steps in flight
    return median(ours.ask("loop", steps) / ours.ask("train", 2 * steps) for _ in range(rounds))


def _spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    low, high = np.percentile(seconds, (10, 90))
    return {f"{name}_p10": float(low), f"{name}_p90": float(high)}


def _compared(times: Times, peers: Mapping[str, Side]) -> dict[str, Any]:
    """The peer's figures, and ours over them."""
    (train, its_train), (infer, its_infer) = times["train"], times["infer"]
    told = peers["train"].told
    peer = {
        "name": f"PyTorch {told['torch']}, {told['mode']}",
        "seconds_per_step": median(its_train),
        **_spread("seconds_per_step", its_train),
        "inference_seconds": median(its_infer),
        "inference_mode": peers["infer"].told["mode"],
    }
    return {
        "peer": peer,
        "ratio": median(train) / median(its_train),
        "inference_ratio": median(infer) / median(its_infer),
    }


def _check_equal(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises UserError where a comparison would be one of unequal things."""
    if ours["devices"] > 1 and ours["environment"]["device"]["platform"] != "cpu":
        raise UserError(f"mesh: {ours['devices']} devices here, one in the peer; compare on one")
    if ours["parameters"] != theirs["parameters"]:
        raise UserError(f"{ours['parameters']} parameters here, {theirs['parameters']} in the peer")
    first, other = ours["first_loss"], theirs["first_loss"]
    certain = ours["precision"] == "float32" and first is not None and other is not None
    if certain and abs(first - other) > SAME_LOSS * abs(other):
        raise UserError(f"by equal weights the first loss is {first:.6g} here, {other:.6g} in the peer")


def measured(
    configs: Mapping[str, Mapping[str, str]], settings: Settings
) -> Generator[tuple[str, dict[str, Any] | UserError], None, None]:
    """The row of each config with its flags, or why there is none.

    Some are compiled side by side, and then measured one after the other, when nothing else runs.
    """
    names, at_once = list(configs), settings.at_once
    for first in range(0, len(names), at_once):
        with contextlib.ExitStack() as stack, ThreadPoolExecutor(at_once) as pool, Processes() as processes:
            waiting = {
                name: pool.submit(stack.enter_context, prepared(name, configs[name], settings, processes))
                for name in names[first : first + at_once]
            }
            wait(waiting.values())
            for name, pair in waiting.items():
                try:
                    yield name, measure(pair.result(), settings)
                except UserError as error:
                    yield name, error
