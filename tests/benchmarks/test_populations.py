"""What a population gains is measured for every form, in one process."""

import json
from pathlib import Path

import pytest

from dlvr_jax import choose_form
from experiments.populations import populations


def test_every_form_is_timed_beside_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gain.json"
    monkeypatch.setattr(choose_form, "remembered", lambda *_: tmp_path / "forms.json")  # not by an earlier test
    tiny = "configs/ebm/rbm_digits.py:tiny"
    populations([tiny, "--members", "2", "--rounds", "1", "--out", str(out)])
    (row,) = json.loads(out.read_text())["rows"]
    assert set(row["together"]) == {
        *("vmap", "map", "unroll"),
        *("vmap on 2 devices", "map on 2 devices", "unroll on 2 devices"),
    }
    assert row["ratio"] == row["one_after_the_other"] / row["together"][row["auto"]] <= row["best_ratio"]
    shown = capsys.readouterr()
    assert row["auto"] in shown.out
    assert "measuring how to compute 2 members, 6 of 6: unroll on 2 devices\n" in shown.err
