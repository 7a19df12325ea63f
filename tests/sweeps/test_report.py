"""The report of a sweep: ranks by validation alone, differences by hand, and a best point that trains as it did."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from dlvr_jax import check, config
from dlvr_jax.sweeps.collect import Judge, judged, points
from dlvr_jax.sweeps.comparison import Comparison, seconds
from dlvr_jax.sweeps.importance import importances
from dlvr_jax.sweeps.plan import Member
from dlvr_jax.sweeps.report import write_report
from tests.reporting.test_html import Outline
from tests.sweeps.made_up import MadeUp, base_of, made_up_sweep

RATES = {"optimizer.learning_rate": (1e-3, 1e-2, 1e-1, 1.0)}
REACHED = {"0.001": 0.5, "0.01": 0.8, "0.1": 0.8, "1.0": 0.6}


def reached(member: Member) -> float | None:
    """Two points tie; the last loses a seed, and is the best with what is left."""
    value = REACHED[member.settings["optimizer.learning_rate"]] + 0.01 * member.seed * member.point
    return {("1.0", 0): 0.99, ("1.0", 1): None}.get((member.settings["optimizer.learning_rate"], member.seed), value)


def tied(member: Member) -> float:
    return REACHED[member.settings["optimizer.learning_rate"]]


def comparison_of(made: MadeUp) -> Comparison:
    return Comparison(made.sweep, made.judge, points(made.folder, made.base, made.judge))


def page_of(made: MadeUp) -> Outline:
    path = write_report(made.folder, made.base, made.sweep, made.judge)
    assert path == made.folder.path / "report.html"
    return Outline(path.read_text(encoding="utf-8"))


def test_equal_points_share_a_rank_and_the_first_of_them_is_the_best(tmp_path: Path) -> None:
    comparison = comparison_of(made_up_sweep(tmp_path, {"grid": RATES, "seeds": (0, 1)}, tied))
    assert comparison.ranks == {1: 1, 2: 1, 3: 3, 0: 4}
    assert comparison.ranked[0].number == 1


def test_a_point_that_lacks_a_seed_comes_last_however_good_it_is(tmp_path: Path) -> None:
    comparison = comparison_of(made_up_sweep(tmp_path, {"grid": RATES, "seeds": (0, 1)}, reached))
    assert [point.number for point in comparison.ranked] == [2, 1, 0, 3]


def test_where_lower_is_better_the_order_turns(tmp_path: Path) -> None:
    made = made_up_sweep(tmp_path, {"grid": RATES}, tied, Judge("loss", "lower", chosen=True))
    comparison = comparison_of(made)
    assert [point.number for point in comparison.ranked] == [0, 3, 1, 2]
    assert comparison.ranks[1] == comparison.ranks[2] == 3


def test_differences_are_between_trainings_of_the_same_seed(tmp_path: Path) -> None:
    comparison = comparison_of(made_up_sweep(tmp_path, {"grid": RATES, "seeds": (0, 1, 2)}, reached))
    second, last = (comparison.difference(comparison.points[number]) for number in (1, 3))
    assert second is not None and second.values == pytest.approx([0.3, 0.31, 0.32])
    assert (second.mean, second.std) == pytest.approx((0.31, 0.01))
    assert last is not None and last.values == pytest.approx([0.49, 0.16]), "seed 1 failed"


def test_the_front_has_what_no_other_point_beats_at_its_cost(tmp_path: Path) -> None:
    made = made_up_sweep(tmp_path, {"grid": RATES}, tied, most=1)  # 10, 20, 30, 40 seconds
    comparison = comparison_of(made)
    assert [seconds(point) for point in comparison.points] == [10, 20, 30, 40]
    assert [point.number for point in comparison.front(seconds)] == [0, 1]


def test_the_page_shows_all_points_and_says_what_failed(tmp_path: Path) -> None:
    what = {"grid": RATES, "seeds": (0, 1), "question": "Which rate, & why <so>?"}
    made = made_up_sweep(tmp_path, what, reached)
    outline = page_of(made)
    shown = {line.strip() for line in outline.text.splitlines()}
    headings = {"Points", "Looking closer", "Failed", "Make it again"}
    assert headings | {"Which rate, & why <so>?", "0.8100 ± 0.0141", "./launch.sh sweep a_test.py"} <= shown
    assert "point 3, seed 1: step 8 is not finite (logs/" in outline.text
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in outline.tags}
    assert all(attrs.get("aria-label") for tag, attrs in outline.tags if tag == "svg")
    assert sum(tag == "svg" for tag, _ in outline.tags) == 3, "curves, coordinates, value by seconds"


def test_made_twice_it_is_the_same(tmp_path: Path) -> None:
    made = made_up_sweep(tmp_path, {"grid": RATES}, tied)
    names = ("report.html", "points.csv", "points.json", "best.py")
    page_of(made)
    first = [(tmp_path / name).read_bytes() for name in names]
    page_of(made)
    assert [(tmp_path / name).read_bytes() for name in names] == first


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    assert not re.search(r"\d ± \d", page_of(made_up_sweep(tmp_path, {"grid": RATES}, tied)).text)


def test_a_point_whose_program_failed_has_a_reason_and_no_rank(tmp_path: Path) -> None:
    what = {"points": ({}, {"model.layout": "1998"}), "seeds": (0, 1)}
    made = made_up_sweep(tmp_path, what, lambda member: 0.5)
    generation = next(made.folder.generations())
    job = generation.jobs[1]
    run = made.folder.run(job, made.base)
    (run.path / "summary.json").unlink()
    made.folder.fail(run, job, "no room", out_of_memory=False)
    assert "no room" in page_of(made).text
    second = json.loads((tmp_path / "points.json").read_text())["points"][1]
    assert (second["rank"], second["mean"]) == (None, None)
    assert [(each["seed"], each["failed"]) for each in second["trainings"]] == [(0, "no room"), (1, "no room")]


def test_where_everything_failed_there_is_a_report_and_no_best(tmp_path: Path) -> None:
    made = made_up_sweep(tmp_path, {"grid": RATES}, lambda member: None)
    (tmp_path / "best.py").write_text("of an earlier time")
    assert "Failed" in page_of(made).text and not (tmp_path / "best.py").exists()


def test_values_that_are_not_finite_have_no_rank(tmp_path: Path) -> None:
    values = {0: float("inf"), 1: 0.5, 2: float("nan"), 3: 0.4}
    made = made_up_sweep(tmp_path, {"grid": RATES, "seeds": (0, 1)}, lambda m: values[m.point] if m.seed else 0.5)
    assert page_of(made) and comparison_of(made).ranks == {1: 1, 3: 2}


def test_a_search_is_told_no_value_that_is_not_finite(tmp_path: Path) -> None:
    values = {0: float("inf"), 1: 0.5, 2: float("nan")}
    made = made_up_sweep(tmp_path, {"grid": {"optimizer.learning_rate": (0.1, 0.2, 0.3)}}, lambda m: values[m.point])
    (generation,) = made.folder.generations()
    assert judged(made.folder, made.base, generation, made.judge) == {1: 0.5}


def test_the_best_of_a_training_is_that_of_its_numbers() -> None:
    history = {1: float("nan"), 2: 0.7, 3: float("nan"), 4: 0.3}
    assert Judge("accuracy", "higher", chosen=True).value(history) == 0.7
    assert Judge("accuracy", "lower", chosen=True).value(history) == 0.3
    assert Judge("accuracy", "lower", chosen=False).value(history) == 0.3


def test_trainings_that_were_ended_or_are_still_to_come_are_no_failures(tmp_path: Path) -> None:
    made = made_up_sweep(tmp_path, {"grid": RATES}, tied, most=1)
    ended, coming = (made.folder.run(job, made.base).path for job in next(made.folder.generations()).jobs[2:])
    (ended / "summary.json").unlink()
    shutil.rmtree(coming)
    text = page_of(made).text
    assert "4 points, 2 of 4 trainings finished" in text and "Failed" not in text and "ended at step 24" in text
    found = json.loads((tmp_path / "points.json").read_text())["points"]
    assert [[each["ended_at_step"] for each in point["trainings"]] for point in found] == [[None], [None], [24], []]


def test_the_files_for_other_programs_hold_every_number(tmp_path: Path) -> None:
    made = made_up_sweep(tmp_path, {"grid": RATES, "seeds": (0, 1)}, reached)
    page_of(made)
    found = json.loads((tmp_path / "points.json").read_text())
    assert (found["format"], found["metric"], found["direction"], found["value"]) == (
        1,
        "validation/accuracy",
        "higher",
        "best",
    )
    assert found["command"] == "./launch.sh sweep a_test.py"
    third = found["points"][2]
    assert third["settings"] == {"optimizer.learning_rate": "0.1"} and third["rank"] == 1
    assert [each["value"] for each in third["trainings"]] == pytest.approx([0.8, 0.82])
    assert [each["test"]["accuracy"] for each in third["trainings"]] == pytest.approx([0.2, 0.18])
    assert (third["mean"], third["seconds"], third["parameters"]) == pytest.approx((0.81, 5.0, 200))
    rows = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    assert [row["optimizer.learning_rate"] for row in rows] == ["0.001", "0.01", "0.1", "1.0"]
    assert [float(row["validation/accuracy"]) for row in rows] == pytest.approx([0.5, 0.805, 0.81, 0.99])
    assert [row["failed"] for row in rows] == ["0", "0", "0", "1"]


OUTSIDE = "from configs.cnn.lenet5_digits import get_config\n"
POINTS = [
    {"optimizer.learning_rate": 3e-3, "model.dropout": None},
    {"train.steps": 8, "model.widths": (3, 8, 20, 12)},
    {"optimizer.name": "sgd", "optimizer.momentum": 0.9, "optimizer.schedule": "constant", "optimizer.warmup_steps": 0},
    {"eval.best": None, "augment.shift": 0, "data.backing": "stream"},
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: next(iter(point)))
@pytest.mark.parametrize("inside", [True, False])
def test_the_best_point_as_a_config_is_the_one_that_was_trained(
    point: dict, inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config.ROOT / "configs/cnn/lenet5_digits.py"
    if not inside:
        file = tmp_path / "it's mine.py"
        file.write_text(OUTSIDE)
    base = base_of(file, {"train.batch_size": "8"})
    what = {"points": ({}, point), "seeds": (7, 3)}
    made = made_up_sweep(tmp_path / "sweep", what, lambda member: 0.1 + member.point, base=base)
    page_of(made)
    monkeypatch.chdir(tmp_path)
    best = config.find("sweep/best.py")
    there = check.complete(config.load(best), {})
    trained = base.complete(points(made.folder, base, made.judge)[1].settings | {"seed": "7"})
    assert there.flat == trained.flat
    assert {key for key, who in there.origin.items() if who == "default"} == {
        key for key, who in trained.origin.items() if who == "default"
    }


def test_what_varies_most_with_a_setting_is_put_down_to_it() -> None:
    rates = [str(10.0**power) for power in (-4, -3, -2, -1)] * 4
    sizes = [size for size in ("small", "large") for _ in range(8)]
    values = [float(len(rate)) + 0.01 * (size == "small") for rate, size in zip(rates, sizes, strict=True)]
    found = importances(["rate", "size", "same"], [rates, sizes, ["1"] * 16], values, seed=0)
    assert found is not None and list(found) == ["rate", "size"] and found["rate"] > 0.8
    assert found == importances(["rate", "size", "same"], [rates, sizes, ["1"] * 16], values, seed=0)


def test_few_points_say_nothing_of_importance() -> None:
    seven = [str(number) for number in range(7)]
    assert importances(["a", "b"], [seven, seven], list(range(7)), 0) is None
    assert importances(["a", "b"], [seven * 2, seven * 2], [1.0] * 14, 0) is None
    assert importances(["a", "b"], [seven * 2, ["1"] * 14], list(range(14)), 0) is None
