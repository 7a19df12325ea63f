"""Any series in a CSV file on this machine: a column of numbers, one row a step, the oldest first."""

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float

from dlvr_jax.data.paths import user_path
from dlvr_jax.data.series import series_spec, spans, statistics, windows
from dlvr_jax.data.sources import InMemory, Source
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between

_FINEST = 1e-3  # a step between two float32 numbers, at most, of the standard deviation
_GREATEST = float(np.finfo(np.float32).max)


def csv_series(
    *,
    path: str,
    column: str | int = 0,
    length: Annotated[int, Between(2, 10_000)] = 30,
    horizon: Annotated[int, Between(1, 1_000)] = 1,
    period: Annotated[int | None, Between(2, None)] = None,
    difference: Annotated[int, Between(0, None)] = 0,
    delimiter: str = ",",
) -> Source:
    """Windows of `length` steps and the `horizon` steps after; one channel, the column.

    `column` is its name in the first row, or its number from 0; by number, a first row without a number in it is
    skipped. An empty cell takes the value before it, so that nothing of the future is seen. `difference` steps back is
    subtracted from each value, where it is over 0. `period` is the length of a season, for the seasonal-naive forecast.
    """
    values = _values(user_path(path), column, delimiter)
    if difference:
        if difference >= len(values):
            raise UserError(f"data.difference = {difference} is not less than the {len(values)} rows of {path}")
        values = values[difference:] - values[:-difference]
    mean, std = statistics(values)
    name = Path(path).stem
    spec = series_spec(name, steps=len(values), length=length, horizon=horizon, mean=mean, std=std, period=period)
    _check_digits(values, path)
    return InMemory(spec, lambda split: windows(values, spec)[split])


def _check_digits(values: Float[np.ndarray, "steps channels"], path: str) -> None:
    """Raises UserError where float32 does not tell values of the train span apart."""
    first, end = spans(len(values))["train"]
    largest, deviation = np.abs(values[first:end]).max(), values[first:end].std()
    if deviation and np.spacing(largest, dtype=np.float32) > _FINEST * deviation:
        raise UserError(
            f"data.path = {path!r}: numbers up to {largest:g} with a deviation of {deviation:.3g} lose their digits in "
            "float32; subtract a constant from the column, or set data.difference"
        )


def _values(path: Path, column: str | int, delimiter: str) -> Float[np.ndarray, "steps channels"]:
    """The column as numbers, filled. Raises UserError with the row."""
    rows = _rows(path, delimiter)
    number = column if isinstance(column, int) else _place(rows[0][1], column, path)
    if not 0 <= number < len(rows[0][1]):
        raise UserError(
            f"data.column = {column} is no column of {path}; its first row has {len(rows[0][1])}, from 0 on"
        )
    by_name = isinstance(column, str)
    values: list[float] = []
    for line, row in rows:
        cell = row[number].strip() if number < len(row) else None
        if line == rows[0][0] and (by_name or (cell is not None and not _is_number(cell))):
            continue
        if len(row) > len(rows[0][1]):
            raise UserError(
                f"{path}, row {line}: has {len(row)} cells, the first row {len(rows[0][1])}; if numbers have decimal "
                "commas, write points, or set data.delimiter"
            )
        if cell is None or (cell and not _is_number(cell)) or (not cell and not values):
            raise UserError(f"{path}, row {line}: {cell!r} in column {column!r} is no number; mend or remove the row")
        values.append(float(cell) if cell else values[-1])
    if not values:
        raise UserError(f"data.path = {str(path)!r} has a header and no rows")
    return np.array(values)[:, None]


def _rows(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, with their numbers from 1; empty ones are counted too."""
    if len(delimiter) != 1:
        raise UserError(f"data.delimiter = {delimiter!r} is not one character")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(line, row) for line, row in enumerate(csv.reader(file, delimiter=delimiter), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.path = {str(path)!r} cannot be read as CSV ({error})") from error
    if not rows:
        raise UserError(f"data.path = {str(path)!r} has no rows")
    return rows


def _place(header: list[str], column: str, path: Path) -> int:
    names = [name.strip() for name in header]
    if column not in names:
        raise UserError(f"data.column = {column!r} is no column of {path}; there are {', '.join(names)}")
    if names.count(column) > 1:
        raise UserError(
            f"data.column = {column!r}: {path} has {names.count(column)} such columns; give a number, from 0 on"
        )
    return names.index(column)


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, and finite as float32."""
    try:
        return "_" not in cell and abs(float(cell)) <= _GREATEST
    except ValueError:
        return False
