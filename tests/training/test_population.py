"""A population: its members against runs alone, in each strategy; one that fails; one that is taken out."""

import json
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import get_args

import jax
import numpy as np
import pytest

from dlvr_jax import check, config
from dlvr_jax.beginning import first_state, state_of
from dlvr_jax.build import build
from dlvr_jax.data.batches import assemble
from dlvr_jax.errors import UserError
from dlvr_jax.extract import Place, gather, start_of
from dlvr_jax.launch import Start, launch
from dlvr_jax.run import Run
from dlvr_jax.training.checkpoint import named_leaves, read, steps
from dlvr_jax.training.compiled import initial_state
from dlvr_jax.training.population import Strategy, each_member, member, stacked
from dlvr_jax.training.sharding import Placement
from dlvr_jax.training.strategy import Form
from experiments.extract import extract_member
from tests.configs import plain
from tests.training.test_loop import cut_back, outcome

PATH = "configs/ebm/energy_two_moons.py"  # a perceptron, which is compiled soon
MOONS = config.find(f"{PATH}:tiny")
# The same sums in another order: f32 rounding of a gradient, as in tests/test_configs.py.
ROUNDING = dict(rtol=2e-4, atol=2e-6)


def start(folder: Path, until: int | None = None, origin: Path | None = None, **flags: str) -> Start:
    given = {key.replace("__", "."): text for key, text in flags.items()}
    return Start(MOONS, check.complete(config.load(MOONS), given), folder, origin, until=until)


def train(folder: Path, until: int | None = None, origin: Path | None = None, **flags: str) -> Run:
    assert launch(start(folder, until, origin, **flags)) == 0
    return Run(folder)


def lines(run: Run, split: str, k: int) -> list[dict]:
    return [line for line in run.metrics() if line["split"] == split and line["member"] == k]


def same(a, b) -> None:
    for name, leaf in named_leaves(jax.device_get(a)).items():
        np.testing.assert_allclose(leaf, named_leaves(jax.device_get(b))[name], **ROUNDING, err_msg=name)


FOUR = {"population__size": "4", "population__vary__optimizer__learning_rate": "0.01,0.02,0.03,0.04"}


@lru_cache
def runs_alone() -> list:
    """Of each member of FOUR as a run alone: its state after a step, the step's sums, and an evaluation."""
    experiment = plain(PATH, **FOUR)
    batches, test = experiment.training_batches(), experiment.evaluation_batches("test")[0]
    step, evaluate, found = jax.jit(experiment.task.train_step), jax.jit(experiment.task.eval_step), []
    for k, (seed, hyper) in enumerate(zip(experiment.seeds, experiment.hypers, strict=True)):
        before = initial_state(experiment.task, seed, hyper, experiment.example_batch)
        own = {name: leaf[k] for name, leaf in batches.payload(0).items()}
        after, sums = step(before, assemble(batches.resident, own))
        found.append((after, sums, evaluate(after, test, None)))
    return found


@pytest.mark.parametrize(
    ("strategy", "devices"),
    [
        pytest.param(*form, marks=pytest.mark.slow if form in (("map", 1), ("unroll", 2)) else ())
        for form in product(get_args(Strategy), (1, 2))
    ],
)
def test_members_agree_with_runs_alone(strategy: Strategy, devices: int) -> None:
    experiment = plain(PATH, **FOUR, mesh__data=str(devices))
    placement, batches = Placement.over(devices, members=True), experiment.training_batches()
    four, payload = experiment.population_of(Form(strategy, devices)), batches.payload(0)
    seeds, hyper = np.array(experiment.seeds, np.uint32), stacked(experiment.hypers)
    before = placement.state(initial_state(four, seeds, hyper, experiment.example_batch))
    step = jax.jit(lambda state, *parts: four.train_step(state, assemble(*parts)))
    after, sums = step(before, placement.everywhere(batches.resident), placement.rows(payload))
    evaluated = jax.jit(four.eval_step)(after, experiment.evaluation_batches("test")[0], None)
    parts = list(each_member(four, after, *jax.device_get(evaluated[:2])))
    for k, (one, loss, (tested, outputs, _)) in enumerate(runs_alone()):
        same(member(after, k).params, one.params)
        np.testing.assert_allclose(sums["loss"][0][k], loss["loss"][0], rtol=2e-6)
        np.testing.assert_allclose(parts[k][1]["loss"][0], tested["loss"][0], rtol=2e-5)
        np.testing.assert_array_equal(parts[k][2]["label"], outputs["label"])


def test_each_member_has_its_metrics_and_its_best_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {"population__size": "2", "population__vary__optimizer__learning_rate": "1e-3,1e-2", "train__keep": "9"}
    run = train(tmp_path / "run", **flags)
    printed = capsys.readouterr().out
    assert "means over 2 members" in printed and "optimizer.learning_rate" in printed
    summary = run.summary()
    assert summary is not None and [own["seed"] for own in summary["members"]] == [0, 1]
    assert [own["varied"] for own in summary["members"]] == [{"optimizer.learning_rate": rate} for rate in (1e-3, 1e-2)]
    for own in summary["members"]:
        validated = lines(run, "validation", own["member"])
        best = max(line["accuracy"] for line in validated)
        assert own["tested_step"] == next(line["step"] for line in validated if line["accuracy"] == best)
        (test,) = lines(run, "test", own["member"])
        assert test["accuracy"] == own["metrics"]["test/accuracy"]
    environment = run.environment  # of a population that chose its form by measuring
    assert str(Form(environment["form"]["strategy"], environment["form"]["devices"])) in environment["measured"]
    assert len(environment["measured"]) == 6
    mean = np.mean([own["metrics"]["test/accuracy"] for own in summary["members"]])
    assert summary["metrics"]["test/accuracy"] == pytest.approx(mean)
    assert "Members" in (run.path / "report.html").read_text()
    before = outcome(run)
    cut_back(run, 8)
    assert outcome(train(tmp_path / "run", **flags)) == before


def test_a_member_that_is_not_finite_stays_as_it_was_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"optimizer__name": "sgd", "population__size": "2", "population__strategy": "vmap"}
    rates = "population__vary__optimizer__learning_rate"
    run = train(tmp_path / "run", **flags, **{rates: "0.01,1e38"})
    printed, errors = capsys.readouterr()
    assert "member 1: step" in errors
    summary, other = run.summary(), train(tmp_path / "other", **flags, **{rates: "0.01,0.02"}).summary()
    assert summary is not None and other is not None
    well, ill = summary["members"]
    assert well["failed"] == 0 and 0 < ill["failed"] <= summary["step"] == 16
    assert well == other["members"][0]  # to the bit, whatever becomes of its neighbour
    leaves, _ = read(run.checkpoints / "16")
    assert all(np.isfinite(leaf).all() for name, leaf in leaves.items() if "params" in name)
    assert summary["metrics"]["test/accuracy"] == well["metrics"]["test/accuracy"]
    assert "above are means over 1 of 2 members" in printed


def test_a_population_of_a_task_that_shows_samples_is_trained_without_them(tmp_path: Path) -> None:
    source = config.find("configs/gan/mlp_gan_gaussians.py:tiny")
    flags = {"population.size": "2", "population.strategy": "vmap"}
    complete = check.complete(config.load(source), flags)
    assert complete.flat["eval.sample_every"] is not None
    assert launch(Start(source, complete, tmp_path / "run")) == 0
    assert extract_member([str(tmp_path / "run"), "--member", "1"]) == 0
    assert list((tmp_path / "run-member-1" / "samples").iterdir())


def test_each_member_may_start_from_the_last_state_of_a_run(tmp_path: Path) -> None:
    origin = train(tmp_path / "origin")
    flags = {"train__steps": "24", "train__keep": "9", "population__strategy": "unroll"}
    rates = {"population__size": "2", "population__vary__optimizer__learning_rate": "1e-3,1e-2"}
    run = train(tmp_path / "run", origin=origin.path, **flags, **rates)
    assert run.record["from"] == {"run": str(origin.path), "step": 16}
    assert [line["step"] for line in lines(run, "train", 1)] == [20, 24]
    before = outcome(run)
    cut_back(run, 16)
    assert outcome(train(tmp_path / "run", origin=origin.path, **flags, **rates)) == before
    assert extract_member([str(run.path), "--member", "1"]) == 0
    taken = Run(tmp_path / "run-member-1")
    assert taken.record["from"] == run.record["from"]
    summary, members = taken.summary(), (run.summary() or {})["members"]
    assert summary is not None and summary["params_sha256"] == members[1]["params_sha256"]


def test_a_population_takes_all_of_a_run_but_seeds_and_hyper(tmp_path: Path) -> None:
    origin = train(tmp_path / "origin")
    experiment = build(start(tmp_path, **FOUR, train__steps="24").complete.flat)
    like = first_state(experiment)
    begun = state_of(origin.path, None, like, experiment)
    kept, _ = read(origin.checkpoints / "16")
    for name, leaf in named_leaves({"state": begun}).items():
        if name.startswith(("state/hyper", "state/seed")):
            np.testing.assert_array_equal(leaf, named_leaves({"state": like})[name], err_msg=name)
        else:
            for k in range(4):
                np.testing.assert_array_equal(leaf[k], kept[name], err_msg=name)
    four = train(tmp_path / "four", **FOUR, population__strategy="vmap")
    with pytest.raises(UserError, match=r"is a population; ./launch.sh extract .*four --member N first"):
        train(tmp_path / "run", origin=four.path, train__steps="24")


def test_what_starts_from_a_training_that_failed_does_not_take_over_that_it_did(tmp_path: Path) -> None:
    flags = {"optimizer__name": "sgd", "population__size": "2", "population__strategy": "vmap"}
    run = train(tmp_path / "run", until=8, **flags, population__vary__optimizer__learning_rate="0.01,1e38")
    experiment = build(check.complete(config.flatten(run.config), {}).flat)
    folder = tmp_path / "failed"
    gather([Place(run, 1)], start_of(run, experiment, 1, folder))
    alone = build(start(tmp_path, optimizer__name="sgd").complete.flat)
    assert read(Run(folder).checkpoints / str(steps(Run(folder).checkpoints)[-1]))[0]["state/failed"] > 0
    assert int(state_of(folder, None, first_state(alone), alone).failed) == 0


def test_a_run_whose_members_all_fail_stops(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not finite"):
        train(
            tmp_path / "run",
            optimizer__name="sgd",
            population__size="2",
            population__strategy="vmap",
            population__vary__optimizer__learning_rate="1e38,1e37",
        )


def test_a_member_taken_out_is_a_run_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates = {"population__size": "2", "population__vary__optimizer__learning_rate": "1e-3,1e-2"}
    rates |= {"population__strategy": "vmap", "mesh__data": "2"}
    population = train(tmp_path / "run", **rates)
    capsys.readouterr()
    assert extract_member([str(population.path), "--member", "1"]) == 0
    assert "warning" not in capsys.readouterr().err
    run = Run(tmp_path / "run-member-1")
    assert run.environment["resumed"] == [["form: one of 2 members together, now alone"], []]
    summary, members = run.summary(), (population.summary() or {})["members"]
    assert summary is not None and summary["params_sha256"] == members[1]["params_sha256"]
    assert summary["guarantee"].startswith("weaker: ")
    for name, value in members[1]["metrics"].items():
        np.testing.assert_allclose(summary["metrics"][name], value, rtol=1e-5, err_msg=name)
    assert run.config["seed"] == 1 and run.config["optimizer"]["learning_rate"] == 1e-2
    alone = train(tmp_path / "alone", seed="1", optimizer__learning_rate="1e-2")
    for own, other in zip(run.metrics(), alone.metrics(), strict=True):
        assert own["step"] == other["step"] and own["split"] == other["split"]
    assert json.dumps(alone.config, sort_keys=True) == json.dumps(run.config, sort_keys=True)
    assert steps(run.checkpoints) == [16]
    assert run.record["extracted"] == [{"run": str(population.path.resolve()), "member": 1}]


def test_a_run_alone_that_goes_on_alone_is_under_no_other_environment(tmp_path: Path) -> None:
    run, alone = train(tmp_path / "run", until=8), start(tmp_path / "alone")
    gather([Place(run, None)], alone)
    assert Run(alone.folder).environment["resumed"] == []


def test_members_of_several_populations_go_on_together(tmp_path: Path) -> None:
    def flags(*rates: float) -> dict[str, str]:
        seeds = ", ".join(str(round(1000 * rate)) for rate in rates)
        several = {"population__size": str(len(rates)), "population__strategy": "map", "population__seeds": seeds}
        return several | {"population__vary__optimizer__learning_rate": repr(rates)}

    one, other = flags(0.001, 0.002), flags(0.003, 0.004)
    runs = [train(tmp_path / name, until=8, **each) for name, each in (("one", one), ("other", other))]
    assert all(run.summary() is None and steps(run.checkpoints)[-1] == 8 for run in runs)
    together = start(tmp_path / "together", **flags(0.002, 0.003))
    gather([Place(runs[0], 1), Place(runs[1], 0)], together)
    run, whole = train(tmp_path / "together", **flags(0.002, 0.003)), train(tmp_path / "whole", **flags(0.002, 0.003))
    # Of `map` each member's operations are those of any other, so nothing differs but when and where.
    for own, undisturbed in zip((run.summary() or {})["members"], (whole.summary() or {})["members"], strict=True):
        assert own == undisturbed
    for line, undisturbed in zip(run.metrics(), whole.metrics(), strict=True):
        assert {**line, "seconds": 0, "examples_per_second": 0} == {
            **undisturbed,
            "seconds": 0,
            "examples_per_second": 0,
        }
    assert (run.summary() or {})["guarantee"].startswith("weaker: ")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            {"population__seeds": "1,2", "population__size": "3"},
            "seeds: has 2 values, but population.size = 3",
        ),
        ({"population__vary__optimizer__learning_rate": "0.1,0.2"}, "has 2 values, but population.size = 1"),
        ({"population__size": "3", "mesh__data": "2"}, "population.size = 3 does not split over 2 devices; use 2 or 4"),
        ({"population__size": "2", "population__vary__task__restart": "0.1,1.5"}, "must be between 0 and 1"),
        ({"population__vary__train__steps": "1,2"}, "population.vary.train.steps: no such key"),
    ],
)
def test_what_is_wrong_with_a_population_is_told(flags: dict[str, str], says: str) -> None:
    given = {key.replace("__", "."): text for key, text in flags.items()}
    with pytest.raises(UserError, match=says):
        check.complete(config.load(MOONS), given)
