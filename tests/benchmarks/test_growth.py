"""How time grows: the slope of exact powers, the command's file and chart, and what it refuses."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlvr_jax import check, config
from dlvr_jax.benchmarks.growth import measure, slope
from dlvr_jax.errors import UserError
from experiments.growth import AXES, growth

GPT = "configs/transformer/gpt_shakespeare_1m.py:tiny"
TINY = "configs/cnn/lenet5_digits.py:tiny"


@given(power=st.floats(-3, 3), factor=st.floats(1e-6, 1e3))
def test_the_slope_of_a_power_is_the_power(power: float, factor: float) -> None:
    values = [1.0, 2.0, 5.0, 64.0]
    assert abs(slope(values, [factor * value**power for value in values]) - power) < 1e-9


def test_the_first_round_does_not_count_and_medians_are_in_order() -> None:
    times = [iter([9.0, 1.0, 3.0, 2.0]), iter([9.0, 8.0, 4.0, 6.0])]
    assert measure([partial(next, one) for one in times], rounds=3) == [2.0, 6.0]


def test_a_number_of_a_run_and_the_members_of_a_population_are_measured(tmp_path: Path) -> None:
    out = tmp_path / "growth.json"
    along = ["--along", "train.batch_size=4,8", "--along", "population.size=1,2"]
    growth([TINY, *along, "--config.population.strategy=map", "--rounds", "1", "--out", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert [(row["key"], row["values"]) for row in rows] == [
        ("train.batch_size", [4, 8]),
        ("population.size", [1, 2]),
    ]
    assert rows[1]["forms"] == ["alone", "map"]
    for row in rows:
        first, second = row["seconds"]
        np.testing.assert_allclose(row["slope"], np.log2(second / first))
        assert row["powers"] == [row["slope"]]
    assert "times the first step" in out.with_suffix(".svg").read_text()


def test_what_it_measures_by_itself_are_known_numbers() -> None:
    """Each is checked like a user's, at its largest value."""
    for axis in AXES:
        check.complete(config.load(config.find(axis.config)), {**axis.flags, axis.key: axis.values[-1]})


@pytest.mark.parametrize(
    ("arguments", "says"),
    {
        "a config without a number": ([TINY], "give a CONFIG and at least one --along"),
        "a number without a config": (["--along", "train.batch_size=4,8"], "give a CONFIG and at least one --along"),
        "one value": ([TINY, "--along", "train.batch_size=4"], "--along train.batch_size=4: write KEY=V,V,..."),
        "from large to small": ([TINY, "--along", "train.batch_size=8,4"], "from small to large"),
        "words": ([TINY, "--along", "model.name=a,b"], "write KEY=V,V,..."),
        "no such key": ([TINY, "--along", "train.batchsize=4,8"], 'did you mean "train.batch_size"'),
        "an end that is not JSON's": ([TINY, "--along", "train.batch_size=4,8", "--out", "x.svg"], "must end in .json"),
        "what does not fit": ([GPT, "--along", "model.width=32,33,35"], "a width of 35 does not split"),
        "no such value": ([TINY, "--along", "train.batch_size=0.5,1"], "train.batch_size"),
    }.values(),
)
def test_mistakes_are_told_before_any_work(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        growth(arguments)


def test_what_was_measured_before_an_interruption_is_kept_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []

    def measured(*_: object) -> dict[str, float]:
        if taken:
            raise KeyboardInterrupt
        taken.append(1)
        return {"slope": 1.0}

    monkeypatch.setattr("experiments.growth._measured", measured)
    out = tmp_path / "growth.json"
    out.write_text('{"rows": []}')
    along = ["--along", "train.batch_size=4,8", "--along", "train.steps=4,8"]
    with pytest.raises(KeyboardInterrupt):
        growth([TINY, *along, "--out", str(out)])
    (partial,) = tmp_path.glob("growth.partial-*.json")
    assert out.read_text() == '{"rows": []}' and json.loads(partial.read_text())["rows"] == [{"slope": 1.0}]
    assert str(partial) in capsys.readouterr().err
