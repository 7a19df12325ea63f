"""Tables in terminals of any width: no number is broken, no row is lost."""

import pytest

from dlvr_jax.reporting.tables import print_table

HEADER = ("run", "validation/accuracy", "parameters", "hash")
ROWS = (("one", "0.9912 ± 0.0034", "61,706", "c0ffee"), ("another", "0.9900 ± 0.0011", "1,170,602", "decaf0"))


@pytest.mark.parametrize(("columns", "lines"), [("200", 3), ("32", 8)])
def test_what_does_not_fit_is_printed_row_by_row(
    columns: str, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(HEADER, ROWS, right=("parameters",))
    printed = capsys.readouterr().out
    assert all(number in printed for row in ROWS for number in row[2:])
    found = [line for line in printed.splitlines() if line]
    assert len(found) >= lines and (columns == "32") == (found[0].split() == ["run", "one"])


def test_a_table_without_headings_has_no_line_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("", ""), (("a", "1"), ("b", "2")))
    assert capsys.readouterr().out == "a  1\nb  2\n\n"
