"""Run folders as a training leaves them, without the training."""

from pathlib import Path

import numpy as np

from dlvr_jax.displays import Alignment, Curves, Display, HeatMap, Images, Table, Text
from dlvr_jax.run import Run

CONFIG = {
    "seed": 0,
    "model": {"name": "cnn.lenet5.LeNet5", "dropout": None},
    "data": {"name": "digits"},
    "train": {"steps": 40},
    "eval": {"best": "accuracy"},
    "optimizer": {"learning_rate": 0.002},
}
COMMAND = "train configs/cnn/lenet5_digits.py --config.data.path=" + "/a/long/path" * 12
ENVIRONMENT = {
    "command": COMMAND,
    "versions": {"jax": "0.12.0"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "cpu": {"model": "a CPU", "threads": 2},
    "flags": {},
    "git": {"commit": "69cf386", "dirty": False},
    "form": {"kind": "solo", "devices": 1},
    "data": "0" * 64,
    "resumed": [],
}
ORIGIN = {"model.name": "config", "data.name": "config", "optimizer.learning_rate": "flag", "train.steps": "default"}

SUMMARY = {
    "config": "configs/cnn/lenet5_digits.py",
    "task": "classification.Classification",
    "model": "cnn.lenet5.LeNet5",
    "step": 40,
    "tested_step": 40,
    "examples": 2560,
    "seconds": 4.5,
    "metrics": {"test/loss": 0.04, "test/accuracy": 0.9911, "test/f1/7": 0.123456},
    "parameters": 61706,
    "params_sha256": "9b1f" * 16,
    "data": {"name": "digits", "splits": {"train": 1257}},
    "versions": ENVIRONMENT["versions"],
    "device": ENVIRONMENT["device"],
    "git": ENVIRONMENT["git"],
    "compiled": {"programs": 3, "seconds": 2.9, "cache_hits": 0},
    "guarantee": "bit-identical on the same device",
}


def record(config_file: str = "configs/cnn/lenet5_digits.py", argument: str = "") -> dict:
    return {
        "config_file": config_file,
        "argument": argument,
        "fingerprint": "3f9c2ab1",
        "config": CONFIG,
        "origin": ORIGIN,
    }


def every_display() -> dict[str, Display]:
    rng = np.random.default_rng(0)
    digits = tuple(str(digit) for digit in range(10))
    return {
        "confusion": HeatMap(
            np.diag(rng.uniform(30, 40, 10).round()), digits, digits, "predicted", "true", "Confusion"
        ),
        "signed": HeatMap(rng.normal(size=(300, 50)), (), (), "channel", "time", "Signed map"),
        "right": Images(rng.integers(0, 255, (16, 32, 32, 1), np.uint8), digits + digits[:6], "Right"),
        "filters": Images(rng.integers(0, 255, (6, 5, 5, 3), np.uint8), (), "Filters"),
        "nothing": Images(np.zeros((0, 8, 8, 1), np.uint8), (), "Most wrong"),
        "calibration": Curves(np.arange(5.0), rng.random((2, 5)), ("model", "perfect"), "confidence", "accuracy"),
        "classes": Table(("class", "f1"), (("7", 0.98765), ("8", 1.0)), "Per class"),
        "wide": Table(tuple(f"a long column {i}" for i in range(20)), ((1,) * 20,), "Wide table"),
        "alignment": Alignment(np.full((2, 3), 1 / 3), ("das", "Haus", "家"), ("the", "house"), "Attention"),
        "passages": Text(("To be,\nor not to be", "word" * 200), "Passages"),
    }


def lines() -> list[dict]:
    rows: list[dict] = []
    for step in range(10, 50, 10):
        norms = {"learning_rate": 0.002, "gradient_norm": 1 / step, "update_norm": 0.1, "parameter_norm": 9.0}
        rows.append({"step": step, "split": "train", "loss": 9 / step, "accuracy": 0.9, **norms, "seconds": step / 9})
        rows.append({"step": step, "split": "validation", "loss": 9.5 / step, "accuracy": 0.9, "f1/7": 0.5})
    return rows


def made_up_run(path: Path, finished: bool = True, displays: dict[str, Display] | None = None) -> Run:
    run = Run(path)
    run.write("config.json", record())
    run.write("environment.json", ENVIRONMENT)
    for line in lines():
        run.append_metrics(line)
    run.write_displays(40, every_display() if displays is None else displays)
    if finished:
        run.write("summary.json", SUMMARY)
    return run
