"""The peer's side of a measurement, a process of its own: `python -m dlvr_jax.benchmarks.peers FOLDER [compiled]`."""

import os
import time
from pathlib import Path
from typing import Any

import torch

from dlvr_jax.benchmarks.peers.networks import peer
from dlvr_jax.benchmarks.peers.problem import Peer, Problem
from dlvr_jax.benchmarks.process import own_stdout, run, serve


def main(folder: str, mode: str = "eager") -> None:
    """Answers `train N` and `infer N` until stdin ends; `NPROC` is the number of threads."""
    out = own_stdout()
    torch.set_num_threads(int(os.environ["NPROC"]))
    torch.set_float32_matmul_precision("high")  # TF32 where there is such, as XLA takes it
    torch.backends.cudnn.benchmark = True
    problem = Problem.read(Path(folder), compiled=mode == "compiled")
    made = peer(problem)
    first_loss = float(made.step(problem.batch))
    told: dict[str, Any] = {
        "parameters": sum(p.numel() for p in made.network.parameters()) - made.fixed,
        "first_loss": None if made.draws else first_loss,
        "torch": torch.__version__,
        "mode": mode,
    }
    commands = {"train": lambda n: _train(problem, made, n), "infer": lambda n: _infer(problem, made, n)}
    serve(told, commands, out)


def _train(problem: Problem, made: Peer, steps: int) -> float:
    """Seconds a step, of so many one after the other; the last one is waited for."""
    _wait(problem.device)
    started = time.perf_counter()
    for _ in range(steps):
        made.step(problem.batch)
    _wait(problem.device)
    return (time.perf_counter() - started) / steps


def _infer(problem: Problem, made: Peer, times: int) -> float:
    """Seconds for the batch of a training step; the first time does not count."""
    made.infer(problem.batch)
    _wait(problem.device)
    started = time.perf_counter()
    for _ in range(times):
        made.infer(problem.batch)
    _wait(problem.device)
    return (time.perf_counter() - started) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    run(main)
