"""What a population gains is measured for every form, in one process."""

import json
from pathlib import Path

from experiments.populations import populations


def test_every_form_is_timed_beside_one_after_the_other(tmp_path: Path, capsys) -> None:
    out = tmp_path / "gain.json"
    tiny = "configs/ebm/rbm_digits.py:tiny"
    populations([tiny, "--members", "2", "--rounds", "1", "--out", str(out)])
    (row,) = json.loads(out.read_text())["rows"]
    assert set(row["together"]) == {
        *("vmap", "map", "unroll"),
        *("vmap on 2 devices", "map on 2 devices", "unroll on 2 devices"),
    }
    assert row["ratio"] == row["one_after_the_other"] / row["together"][row["auto"]] <= row["best_ratio"]
    assert row["auto"] in capsys.readouterr().out
