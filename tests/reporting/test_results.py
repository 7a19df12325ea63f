"""Measured results: their files and the page made from them."""

import dataclasses
import json
import math
import statistics
from pathlib import Path

import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.reporting.results import Result, Spread, of_config, read, read_all, write
from dlvr_jax.reporting.results_page import page


def result(config: str = "configs/cnn/lenet5_digits.py", accuracies: tuple[float, ...] = (0.99, 0.98, 0.995)) -> Result:
    return Result(
        config=config,
        flags={"train.epochs": "3"},
        command=f"./launch.sh measure {config} --config.train.epochs=3",
        date="2026-01-31",
        seeds=list(range(len(accuracies))),
        metric="test/accuracy",
        lower_is_better=False,
        metrics={"test/accuracy": Spread.over(accuracies), "test/loss": Spread.over([0.1] * len(accuracies))},
        history=[{"100": 0.5, "281": 0.9}] * len(accuracies),
        seconds=Spread.over([70.0] * len(accuracies)),
        parameters=61_706,
        steps=281,
        params_sha256=["0" * 64] * len(accuracies),
        data={"name": "digits"},
        device={"platform": "cpu", "kind": "cpu", "count": 1},
        cpu={"model": "A | B", "threads": 2},
        versions={"python": "3.13.1", "jax": "0.12.0", "flax": "0.12.1"},
        git=[{"commit": "c0ffee", "dirty": False}],
    )


def test_values_that_are_not_finite_have_no_deviation() -> None:
    spread = Spread.over([float("inf"), 1.0])
    assert math.isinf(spread.mean) and spread.std is not None and math.isnan(spread.std)


def test_a_spread_is_mean_and_sample_deviation() -> None:
    spread = Spread.over([0.99, 0.98, 0.995])
    assert spread.mean == pytest.approx((0.99 + 0.98 + 0.995) / 3)
    assert spread.std == pytest.approx(statistics.stdev([0.99, 0.98, 0.995]))
    assert str(spread) == "0.9883 ± 0.0076"
    assert (Spread.over([0.5]).std, str(Spread.over([0.5]))) == (None, "0.5000")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "x.json", result())
    assert read(tmp_path / "x.json") == result()
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


SET_UP = {
    "network": "cnn.small_vgg.SmallVGG",
    "sha256": "c0ffee" * 10 + "beef",
    "trained_on": "digits",
    "test_accuracy": 0.97,
    "data": "digits",
    "split": "test",
    "real_count": 10_000,
    "generated_count": 10_000,
    "training_count": 5_000,
}


def test_what_fid_rests_on_is_kept_and_told_once_for_all_that_share_it(tmp_path: Path) -> None:
    other = {"network": "Inception-v3", "sha256": "0" * 64, "data": "digits", "split": "test"}
    other |= {"real_count": 9, "generated_count": 9}
    for name, own in {"a": SET_UP, "b": SET_UP, "c": other, "d": None}.items():
        write(tmp_path / f"{name}.json", dataclasses.replace(result(f"configs/gan/{name}.py"), flags={}, set_up=own))
    assert read(tmp_path / "a.json").set_up == SET_UP
    lines = [line for line in page(read_all(tmp_path)).splitlines() if line.startswith("FID")]
    assert lines == [
        "FID and its like of a, b: judged by cnn.small_vgg.SmallVGG (SHA-256 c0ffeec0ffee, test accuracy 0.9700 on "
        "digits); 10,000 images beside 10,000 real ones of the test split of digits, nearest of 5,000 training images.",
        "FID and its like of c: judged by Inception-v3 (SHA-256 000000000000); 9 images beside 9 real ones of the test "
        "split of digits.",
    ]


def test_a_file_from_before_set_ups_is_read(tmp_path: Path) -> None:
    write(tmp_path / "old.json", result())
    content = json.loads((tmp_path / "old.json").read_text())
    del content["set_up"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert read(tmp_path / "old.json") == result()


def test_the_result_of_a_config_is_the_one_without_flags() -> None:
    own = dataclasses.replace(result(accuracies=(0.9,)), flags={})
    other = result("configs/cnn/other.py", (0.99,))
    variant = dataclasses.replace(result(accuracies=(0.95,)), flags={"train.epochs": "9"})
    assert of_config([variant, own, other], own.config) is own
    assert of_config([variant, other], own.config) is None


def test_the_page_has_a_table_a_family_and_is_the_same_for_the_same_results(tmp_path: Path) -> None:
    for name, config in (("b", "configs/cnn/b.py"), ("a", "configs/cnn/a.py"), ("c", "configs/rnn/c.py")):
        write(tmp_path / f"{name}.json", result(config))
    text = page(read_all(tmp_path))
    assert text == page(read_all(tmp_path))
    rows = [line for line in text.splitlines() if line.startswith(("## ", "| "))]
    titles = [row.split(" ")[1] for row in rows]
    assert titles == ["cnn", "config", "---", "a", "b", "rnn", "config", "---", "c"]
    for part in (
        "test/accuracy 0.9883 ± 0.0076",
        "0, 1, 2",
        "61,706",
        "1 min 10 s",
        "jax 0.12.0, flax 0.12.1",
        "2026-01-31",
    ):
        assert part in rows[3]
    assert "a train.epochs=3" in rows[3] and "A \\| B, 2 threads" in rows[3] and "`./launch.sh measure" in rows[3]
    assert "- a train.epochs=3: test/loss 0.1000 ± 0.0000. On validation, of seed 0 (after so many steps): 0.5" in text
    assert "None yet" in page([])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: "{",
        lambda content: "[]",
        lambda content: json.dumps({**content, "format": 1}),
        lambda content: json.dumps({**content, "metrics": {}}),
        lambda content: json.dumps({key: value for key, value in content.items() if key != "seconds"}),
        lambda content: json.dumps({**content, "more": 1}),
        lambda content: json.dumps({**content, "set_up": ["network"]}),
        lambda content: json.dumps({**content, "seconds": {"mean": None, "std": None, "values": []}}),
    ],
)
def test_every_damaged_file_is_named(tmp_path: Path, damage) -> None:
    write(tmp_path / "good.json", result())
    for name in ("bad", "worse"):
        (tmp_path / f"{name}.json").write_text(damage(json.loads((tmp_path / "good.json").read_text())))
    with pytest.raises(UserError) as caught:
        read_all(tmp_path)
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == [
        str(tmp_path / "bad.json"),
        str(tmp_path / "worse.json"),
    ]
