"""The loop as a user's command runs it, in this process: resuming, best states, early stops, non-finite numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from dlvr_jax import check, config
from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.launch import Start, launch
from dlvr_jax.recorded import restored
from dlvr_jax.run import Run
from dlvr_jax.training import checkpoint
from dlvr_jax.training.checkpoint import tree_digest
from dlvr_jax.training.training import chosen_state
from tests.configs import state_of
from tests.damage import flip_a_byte
from tests.resuming import cut_back, outcome

DIGITS = config.find("configs/cnn/lenet5_digits.py:tiny")


def train(folder: Path, origin: Path | None = None, **flags: str) -> Run:
    """A training to its end."""
    given = {key.replace("__", "."): text for key, text in flags.items()}
    assert launch(Start(DIGITS, check.complete(config.load(DIGITS), given), folder, origin)) == 0
    return Run(folder)


FORMS = {
    "averaged": {"train__ema": "0.9"},
    "accumulated": {"train__accumulate": "2"},
    "mixed up": {"augment__mixup": "0.2"},
    "bfloat16": {"train__precision": "bfloat16"},
    "four steps a call": {"train__steps_per_call": "4"},
    "streamed": {"data__backing": "stream"},
    "dropout": {"model__dropout": "0.3"},
    "two devices": {"mesh__data": "2"},
}
COMBINED = {
    "plain": (),
    "on two devices": ("averaged", "accumulated", "four steps a call", "streamed", "two devices"),
    "with random numbers in bfloat16": ("mixed up", "bfloat16", "dropout"),
}


def assert_resumed_equals_whole(folder: Path, flags: dict[str, str]) -> None:
    run = train(folder, train__keep="9", **flags)
    before = outcome(run)
    cut_back(run, 8)
    assert outcome(train(folder, train__keep="9", **flags)) == before


@pytest.mark.parametrize("forms", COMBINED.values(), ids=COMBINED)
def test_a_resumed_run_equals_one_that_was_never_stopped(forms: tuple[str, ...], tmp_path: Path) -> None:
    assert_resumed_equals_whole(tmp_path / "run", {key: text for form in forms for key, text in FORMS[form].items()})


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_resumed_run_equals_one_that_was_never_stopped_in_each_form_alone(form: str, tmp_path: Path) -> None:
    assert_resumed_equals_whole(tmp_path / "run", FORMS[form])


@pytest.mark.parametrize(
    ("strategy", "devices"),
    [
        ("vmap", "2"),
        pytest.param("vmap", "1", marks=pytest.mark.slow),
        pytest.param("map", "2", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_population_equals_one_that_was_never_stopped(strategy: str, devices: str, tmp_path: Path) -> None:
    members = {"population__size": "2", "population__strategy": strategy, "population__vary__model__dropout": "0.1,0.2"}
    assert_resumed_equals_whole(tmp_path / "run", members | {"mesh__data": devices})


def test_lines_are_forced_to_the_disk_before_a_checkpoint_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    for owner, name in ((Run, "append_metrics"), (Run, "sync_metrics"), (checkpoint.Checkpoints, "save")):
        original = getattr(owner, name)

        def told(self, *arguments, original=original, name=name):
            order.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(owner, name, told)
    train(tmp_path / "run")
    saves = [place for place, name in enumerate(order) if name == "save"]
    assert saves and {order[place - 1] for place in saves} == {"sync_metrics"} and order[-1] == "sync_metrics"


def test_the_largest_seed_is_a_seed_too(tmp_path: Path) -> None:
    assert train(tmp_path / "run", seed=str(2**32 - 1), train__steps="4").summary()["step"] == 4


def test_log_windows_that_are_open_at_a_checkpoint_are_resumed(tmp_path: Path) -> None:
    flags = {"train__keep": "9", "train__log_every": "8", "train__checkpoint_every": "2"}
    run = train(tmp_path / "run", **flags)
    before = outcome(run)
    cut_back(run, 6)
    assert outcome(train(tmp_path / "run", **flags)) == before


def test_backings_give_the_same_bits(tmp_path: Path) -> None:
    resident = train(tmp_path / "resident", data__backing="resident")
    assert outcome(resident) == outcome(train(tmp_path / "stream", data__backing="stream"))


def test_a_finished_run_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != ".lock"}
    train(tmp_path / "run")
    assert "is finished" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != ".lock"} == before


def test_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    run = train(tmp_path / "run", train__checkpoint_every="2", train__keep="3")
    assert checkpoint.steps(run.checkpoints) == [12, 14, 16]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path / "run")
    before = outcome(run)
    (run.path / "summary.json").unlink()
    flip_a_byte(run.checkpoints / "16")
    assert outcome(train(tmp_path / "run")) == before
    checkpoint.read(run.checkpoints / "16")  # written anew
    assert "checkpoints/16 is damaged" in capsys.readouterr().err.replace("\n", "")


def test_the_best_state_is_the_one_tested(tmp_path: Path) -> None:
    run = train(tmp_path / "run", eval__best="loss", train__eval_every="2")
    losses = {line["step"]: line["loss"] for line in run.metrics() if line["split"] == "validation"}
    best = min(losses, key=losses.__getitem__)
    summary = run.summary()
    assert summary["tested_step"] == best and summary["metrics"]["validation/loss"] == losses[best]


def test_what_is_said_of_examples_is_shown_while_the_training_goes_on(tmp_path: Path) -> None:
    run = train(tmp_path / "run", eval__sample_every="8")
    assert list((run.path / "samples" / "00000008").iterdir())
    two = train(tmp_path / "two", eval__sample_every="8", population__size="2", population__strategy="vmap")
    assert not (two.path / "samples" / "00000008").exists()


def test_early_stopping_counts_evaluations_without_a_better_one(tmp_path: Path) -> None:
    flags = {
        "eval__best": "loss",
        "train__eval_every": "4",
        "train__early_stopping": "2",
        "optimizer__schedule": "constant",
    }
    run = train(
        tmp_path / "run", optimizer__learning_rate="0.0", train__steps="64", train__checkpoint_every="4", **flags
    )
    assert run.summary()["step"] == 12 and run.summary()["tested_step"] == 4
    before = outcome(run)
    cut_back(run, 8)
    flags |= {"optimizer__learning_rate": "0.0", "train__steps": "64", "train__checkpoint_every": "4"}
    assert outcome(train(tmp_path / "run", **flags)) == before


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    flags = {"optimizer__name": "sgd", "optimizer__learning_rate": "1e30", "optimizer__schedule": "constant"}
    with pytest.raises(UserError, match=r"step \d+ is not finite \((loss|gradient/\w+/\w+|the update)\)"):
        train(tmp_path / "run", **flags)
    run = Run(tmp_path / "run")
    assert run.summary() is None
    for line in run.metrics():
        assert np.isfinite([value for value in line.values() if not isinstance(value, str)]).all()


def test_a_run_may_start_from_the_last_state_of_another(tmp_path: Path) -> None:
    first = train(tmp_path / "first")
    flags = {"train__steps": "24", "optimizer__learning_rate": "0.001", "model__dropout": "none", "train__keep": "9"}
    second = train(tmp_path / "second", first.path, **flags)
    assert [line["step"] for line in second.metrics() if line["split"] == "train"] == [20, 24]
    assert second.record["from"] == {"run": str(first.path), "step": 16}
    before = outcome(second)
    cut_back(second, 16)
    first.path.rename(tmp_path / "moved")  # what was taken over is kept
    assert outcome(train(tmp_path / "second", first.path, **flags)) == before


def test_a_start_that_cannot_be_is_refused(tmp_path: Path) -> None:
    first = train(tmp_path / "first")
    with pytest.raises(UserError, match="is at step 16 already; set train.steps above that"):
        train(tmp_path / "second", first.path)
    cadence = {"train__log_every": "5", "train__eval_every": "5", "train__checkpoint_every": "5"}
    with pytest.raises(UserError, match="train.steps_per_call = 5: the step 16 of .* is no multiple of it"):
        train(tmp_path / "second", first.path, train__steps="25", train__steps_per_call="5", **cadence)


def test_a_run_that_has_evaluated_nothing_yet_is_judged_as_it_is(tmp_path: Path) -> None:
    run = train(tmp_path / "run", train__keep="9")
    experiment = build(check.complete(config.flatten(run.config), {}).flat)
    early, late = (chosen_state(restored(run, experiment, step)) for step in (4, 8))
    assert tree_digest(early.params) != tree_digest(state_of(experiment).params) != tree_digest(late.params)


def test_the_summary_says_what_was_run(tmp_path: Path) -> None:
    summary = json.loads((train(tmp_path / "run").path / "summary.json").read_text())
    assert summary["parameters"] == 61_706 and summary["step"] == 16 and summary["examples"] == 256
    assert summary["data"]["splits"] == {"train": 64, "validation": 32, "test": 32}
    assert summary["guarantee"].startswith("bit-identical")
