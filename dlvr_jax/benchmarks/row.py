"""One config measured: our training step and inference, alone or in turn with a peer's."""

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dlvr_jax.benchmarks.peak import sheet_peak
from dlvr_jax.benchmarks.process import Side
from dlvr_jax.errors import UserError

BLOCK_SECONDS = 0.2  # of steps that are timed together
LOOP_SECONDS = 3.0  # that the whole loop is timed for
SAME_LOSS = 1e-3  # relative: of one forward pass in float32; a bfloat16 one is told and not checked
PROFILED = 5  # steps
KEPT = ("parameters", "precision", "flops_per_step", "peak_bytes", "compile_seconds", "seconds_to_first_step")


@dataclass(frozen=True)
class Settings:
    """How a row is measured."""

    rounds: int  # of blocks, after one that does not count
    peer_python: str | None  # the interpreter that has PyTorch; None measures ours alone
    threads: int
    peak_size: int  # of the matrices by which the device's peak is measured
    profile: Path | None = None  # where to leave a trace of each config's steps


def measure(name: str, flags: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """The row of a config with flags, as JSON holds it; times in seconds.

    Raises:
        UserError: a side cannot do it, or the two do not compute the same.
    """
    with tempfile.TemporaryDirectory() as folder, _ours(folder, name, flags, settings) as ours:
        if settings.peer_python is None:
            row = _row(name, flags, ours, _in_turn({"ours": ours}, settings), settings)
        else:
            with _peer(folder, settings) as peer:
                _check_equal(name, ours.told, peer.told)
                times = _in_turn({"ours": ours, "peer": peer}, settings)
                row = _row(name, flags, ours, times, settings) | _compared(times, peer.told)
        if settings.profile is not None:
            row["operations"] = ours.ask("profile", PROFILED)
            shutil.copytree(Path(folder) / "profile", settings.profile / Path(name).stem, dirs_exist_ok=True)
        return row


def _ours(folder: str, name: str, flags: Mapping[str, str], settings: Settings) -> Side:
    given = [f"--config.{key}={value}" for key, value in flags.items()]
    command = [sys.executable, "-m", "dlvr_jax.benchmarks.ours", folder, name, *given]
    return Side(command, {"NPROC": str(settings.threads), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})


def _peer(folder: str, settings: Settings) -> Side:
    """The faster one of eager and compiled."""
    assert settings.peer_python is not None
    command = [settings.peer_python, "-m", "dlvr_jax.benchmarks.peers", folder]
    environment = {"NPROC": str(settings.threads)}
    eager = Side([*command, "eager"], environment)
    eager.told["mode"] = "eager"
    try:
        compiled = Side([*command, "compiled"], environment)
    except UserError as error:  # torch.compile needs a C++ compiler, and does not know every network
        eager.told["not_compiled"] = str(error)
        return eager
    compiled.told["mode"] = "compiled"
    seconds = {side: min(side.ask("train", 3) for _ in range(3)) for side in (eager, compiled)}
    faster = min(seconds, key=lambda side: seconds[side])
    next(side for side in seconds if side is not faster).end()
    return faster


def _in_turn(sides: Mapping[str, Side], settings: Settings) -> dict[tuple[str, str], list[float]]:
    """Seconds of each side's training step and inference, in blocks: A B A B ..."""
    times: dict[tuple[str, str], list[float]] = {}
    for what in ("train", "infer"):
        sizes = {which: _block(side, what) for which, side in sides.items()}
        for _ in range(settings.rounds):
            for which, side in sides.items():
                times.setdefault((which, what), []).append(side.ask(what, sizes[which]))
    return times


def _block(side: Side, what: str) -> int:
    """How many steps take about BLOCK_SECONDS; measuring that warms up."""
    side.ask(what, 1)
    return max(1, round(BLOCK_SECONDS / side.ask(what, 2)))


def _row(
    name: str,
    flags: Mapping[str, str],
    ours: Side,
    times: Mapping[tuple[str, str], Sequence[float]],
    settings: Settings,
) -> dict[str, Any]:
    told, train, infer = ours.told, times["ours", "train"], times["ours", "infer"]
    step, peak = median(train), ours.ask("peak", settings.peak_size)
    sheet = sheet_peak(told["environment"]["device"]["kind"], told["precision"])
    steps = max(2, round(LOOP_SECONDS / step))
    loop = ours.ask("loop", steps)
    return {
        "config": name,
        "flags": dict(flags),
        "seconds_per_step": step,
        **_spread("seconds_per_step", train),
        "examples_per_second": told["examples_per_step"] / step,
        "tokens_per_second": told["examples_per_step"] * told["tokens_per_example"] / step,
        "inference_seconds": median(infer),
        **_spread("inference_seconds", infer),
        **{key: told[key] for key in KEPT},
        "measured_peak": peak,
        "utilisation": told["flops_per_step"] / step / peak,
        "utilisation_of_data_sheet": sheet and told["flops_per_step"] / step / sheet,
        "input_seconds": ours.ask("input", 20),
        "loop_overhead": loop / median(ours.ask("train", max(2, steps // 4)) for _ in range(3)),
        "checkpoint_stall_seconds": ours.ask("checkpoint", 3),
        "environment": told["environment"],
    }


def _spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    low, high = np.percentile(seconds, (10, 90))
    return {f"{name}_p10": float(low), f"{name}_p90": float(high)}


def _compared(times: Mapping[tuple[str, str], Sequence[float]], told: Mapping[str, Any]) -> dict[str, Any]:
    """The peer's figures, and ours over them."""
    train, infer = median(times["peer", "train"]), median(times["peer", "infer"])
    named = f"PyTorch {told['torch']}, {told['mode']}"
    said = {key: told[key] for key in ("first_step_seconds", "not_compiled") if key in told}
    peer = {
        "name": named,
        "seconds_per_step": train,
        **_spread("seconds_per_step", times["peer", "train"]),
        "inference_seconds": infer,
        **said,
    }
    return {
        "peer": peer,
        "ratio": median(times["ours", "train"]) / train,
        "inference_ratio": median(times["ours", "infer"]) / infer,
    }


def _check_equal(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises UserError where a comparison would be one of unequal things."""
    if ours["parameters"] != theirs["parameters"]:
        raise UserError(f"{name}: {ours['parameters']} parameters here, {theirs['parameters']} in the peer")
    first, other = ours["first_loss"], theirs["first_loss"]
    certain = ours["precision"] == "float32" and first is not None and other is not None
    if certain and abs(first - other) > SAME_LOSS * abs(other):
        raise UserError(f"{name}: by equal weights the first loss is {first:.6g} here, {other:.6g} in the peer")
