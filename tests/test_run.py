"""A run folder's record: what is damaged in it is named."""

from pathlib import Path

import pytest

from dlvr_jax.errors import UserError
from tests.reporting.made_up import CONFIG, ENVIRONMENT, made_up_run, record


def test_an_absent_commit_and_origin_are_no_damage(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", displays={})
    run.write("environment.json", {**ENVIRONMENT, "git": {}})
    run.write("config.json", {**record(), "from": None})
    assert run.environment["git"] == {} and run.record["from"] is None


def test_a_population_without_a_strategy_is_damaged(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", displays={})
    run.write("config.json", record() | {"config": CONFIG | {"population": {"size": 2}}})
    for form in ({}, {"strategy": 3}):
        run.write("environment.json", {**ENVIRONMENT, "form": form})
        with pytest.raises(UserError, match=r"environment.json is damaged at form.strategy; restore it"):
            run.environment  # noqa: B018
