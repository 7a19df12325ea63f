"""A run's folder: what is written is read, every line is JSON that others can read, and what is damaged is named."""

import json
import math
from pathlib import Path

import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.run import Run
from tests.reporting.made_up import CONFIG, ENVIRONMENT, made_up_run, record


def test_an_absent_commit_and_origin_are_no_damage(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", displays={})
    run.write("environment.json", {**ENVIRONMENT, "git": {}})
    run.write("config.json", {**record(), "from": None})
    assert run.environment["git"] == {} and run.record["from"] is None


def test_a_population_without_a_strategy_is_damaged(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", displays={})
    run.write("config.json", record() | {"config": CONFIG | {"population": {"size": 2}}})
    for form in ({"devices": 1}, {"devices": 1, "strategy": 3}):
        run.write("environment.json", {**ENVIRONMENT, "form": form})
        with pytest.raises(UserError, match=r"environment.json is damaged at form.strategy; restore it"):
            run.environment  # noqa: B018


def not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def test_numbers_that_are_not_finite_are_null_in_the_file_and_nan_again_when_read(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.append_metrics({"step": 1, "split": "train", "loss": math.nan, "gradient_norm": math.inf, "accuracy": 0.5})
    run.append_metrics({"step": 2, "split": "train", "loss": 0.1})
    run.cut_metrics(1)
    text = (tmp_path / "metrics.jsonl").read_text()
    written = [json.loads(line, parse_constant=not_json) for line in text.splitlines()]
    assert written == [{"step": 1, "split": "train", "loss": None, "gradient_norm": None, "accuracy": 0.5}]
    (line,) = run.metrics()
    assert math.isnan(line["loss"]) and math.isnan(line["gradient_norm"]) and line["accuracy"] == 0.5
