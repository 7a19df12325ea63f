"""Windows of series: none crosses a border, all values are where they belong. No network."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.data.builders.births import births, counts
from dlvr_jax.data.builders.co2 import co2, rises
from dlvr_jax.data.builders.csv_series import csv_series
from dlvr_jax.data.builders.sp500 import returns, sp500
from dlvr_jax.data.series import series_spec, spans, statistics, windows
from dlvr_jax.errors import UserError

BORDERS = (0.7, 0.85)


@settings(deadline=None)
@given(steps=st.integers(40, 400), length=st.integers(1, 8), horizon=st.integers(1, 5))
def test_windows_cross_no_border(steps: int, length: int, horizon: int) -> None:
    """The values are their own times."""
    values = np.stack([np.arange(steps), -np.arange(steps)], -1).astype(float)
    if steps * 15 // 100 < length + horizon:
        return
    spec = series_spec("s", steps=steps, length=length, horizon=horizon, mean=(0, 0), std=(1, 1))
    split = windows(values, spec)
    seen: dict[str, set[int]] = {}
    for name, arrays in split.items():
        assert arrays["history"].shape == (spec.splits[name], length, 2)
        times = np.concatenate([arrays["history"][..., 0], arrays["future"]], 1)
        assert (np.diff(times, axis=1) == 1).all() and (np.diff(times[:, 0]) == 1).all()
        np.testing.assert_array_equal(arrays["history"][..., 1], -arrays["history"][..., 0])
        seen[name] = set(times.ravel().astype(int))
        assert seen[name] == set(range(*spans(steps)[name]))  # every value is used, and no other
    assert max(seen["train"]) < min(seen["validation"]) <= max(seen["validation"]) < min(seen["test"])
    assert set.union(*seen.values()) == set(range(steps))


def test_statistics_are_of_the_train_span_only() -> None:
    values = np.r_[np.arange(70.0), np.full(30, 1e9)][:, None]
    mean, std = statistics(values)
    assert mean == (pytest.approx(34.5),) and std == (pytest.approx(np.arange(70).std()),)
    assert statistics(np.ones((10, 1)))[1] == (1,)


def test_a_span_that_is_too_short_is_an_error() -> None:
    with pytest.raises(UserError, match=r"data.length = 10 and data.horizon = 6 do not fit into the validation span"):
        series_spec("s", steps=100, length=10, horizon=6, mean=(0,), std=(1,))


@pytest.mark.parametrize(
    ("source", "splits"),
    [
        (sp500, {"train": 3_487, "validation": 720, "test": 721}),
        (births, {"train": 3_801, "validation": 788, "test": 788}),
        (co2, {"train": 1_498, "validation": 271, "test": 271}),
    ],
)
def test_specs_are_known_without_data(source, splits: dict[str, int]) -> None:
    assert source().spec.splits == splits
    assert source(length=9, horizon=2).spec.features["history"].shape == (9, 1)


def test_returns_are_logarithms_of_ratios_of_adjusted_closes() -> None:
    table = "Date,Open,High,Low,Close,Adj Close,Volume\r\n1/4/1999,1,1,1,9,100,5\r\n1/5/1999,1,1,1,9,110,5\r\n"
    np.testing.assert_allclose(returns(table), [[np.log(1.1)]])


def test_births_are_the_fifth_column() -> None:
    assert counts("year,month,date_of_month,day_of_week,births\n2000,1,1,6,9083\n").tolist() == [[9083]]


def test_missing_weeks_are_filled_linearly_and_differenced_by_a_year() -> None:
    cells = [str(float(week)) for week in range(60)]
    cells[10] = cells[57] = ""
    table = "date,co2\n" + "".join(f"{week},{cell}\n" for week, cell in enumerate(cells))
    np.testing.assert_allclose(rises(table), np.full((8, 1), 52))


def written(folder: Path, text: str) -> str:
    path = folder / "own.csv"
    path.write_text(text)
    return str(path)


def test_any_csv_column_by_name_or_number(tmp_path: Path) -> None:
    rows = "".join(f"{day},{day % 7},{day}\n" for day in range(200))
    path = written(tmp_path, "day,load,other\n" + rows)
    by_name = csv_series(path=path, column="load", length=14, horizon=3, period=7)
    by_number = csv_series(path=path, column=1, length=14, horizon=3, period=7)
    (tmp_path / "headless.csv").write_text(rows)
    headless = csv_series(path=str(tmp_path / "headless.csv"), column=1, length=14, horizon=3, period=7)
    assert by_name.fingerprint() == by_number.fingerprint() == headless.fingerprint()
    assert by_name.spec.period == 7 and by_name.spec.splits == {"train": 124, "validation": 14, "test": 14}
    first = by_name.arrays("train")
    np.testing.assert_array_equal(first["history"][0, :, 0], np.arange(14) % 7)
    np.testing.assert_array_equal(first["future"][0], [0, 1, 2])
    steady = csv_series(path=path, column="day", difference=7, length=2)
    assert (steady.arrays("test")["history"] == 7).all() and steady.spec.std == (1,)


def test_an_empty_cell_takes_the_value_before_it(tmp_path: Path) -> None:
    cells = ["1"] * 30 + [""] * 10 + ["2"] * 60
    path = written(tmp_path, "time,load\n" + "".join(f"{t},{cell}\n" for t, cell in enumerate(cells)))
    history = csv_series(path=path, column="load", length=2).arrays("train")["history"][:, 0, 0]
    np.testing.assert_array_equal(history[:45], [1] * 40 + [2] * 5)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a,b\n1,2\n", "c", "data.column = 'c' is no column of .*; there are a, b"),
        ("a,b\n1,2\n", 2, "data.column = 2 is no column of .*; its first row has 2, from 0 on"),
        ("a,b\n1,2\n", -1, "data.column = -1 is no column of"),
        ("a,b\n1,x\n", "b", r"row 2: 'x' in column 'b' is no number; mend or remove the row"),
        ("a,b\n1\n", "b", r"row 2: None in column 'b' is no number"),
        ("a,b\n1,\n", "b", r"row 2: '' in column 'b' is no number"),
        ("a,b\n1,nan\n", "b", r"row 2: 'nan' in column 'b' is no number"),
        ("a,b\n\n1,2\n\n1,x\n", "b", r"row 5: 'x'"),  # empty rows are counted
        ("a,b\n1,1_000\n", "b", r"row 2: '1_000'"),
        ("a,b\n1,1e39\n", "b", r"row 2: '1e39'"),  # infinite as float32
        ("a,a\n1,2\n", "a", "has 2 such columns; give a number"),
        ("b\n10,5\n", "b", "row 2: has 2 cells, the first row 1; if numbers have decimal commas"),
        ("", "b", "has no rows"),
        ("a\n1\n2\n", "a", "do not fit into the train span"),
        ("a\n", "a", "has a header and no rows"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(tmp_path: Path, text: str, column: str | int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        csv_series(path=written(tmp_path, text), column=column)
    with pytest.raises(UserError, match="cannot be read as CSV"):
        csv_series(path=str(tmp_path / "none.csv"))


def test_numbers_whose_digits_float32_loses_are_refused(tmp_path: Path) -> None:
    wave = 1e9 + np.sin(np.arange(200))
    path = written(tmp_path, "load\n" + "".join(f"{value!r}\n" for value in wave.tolist()))
    with pytest.raises(UserError, match="up to 1e[+]09 with a deviation of 0.7.* lose their digits in float32"):
        csv_series(path=path, length=2)
    steps = csv_series(path=path, length=2, difference=1).arrays("train")["history"][:, 0, 0]
    np.testing.assert_allclose(steps, np.diff(wave)[: len(steps)], atol=1e-6)
    constant = written(tmp_path, "load\n" + "20000\n" * 200)  # which has none to lose
    assert csv_series(path=constant, length=2).spec.mean == (20000,)
