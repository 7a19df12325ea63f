"""`start` measures each config that is named, and keeps what it measured."""

import json

from experiments.start import start

TINY = "configs/ebm/energy_two_moons.py:tiny"


def test_the_starts_of_each_config_are_kept(tmp_path, capsys) -> None:
    file = tmp_path / "start.json"
    start([TINY, "--repeats", "1", "--out", str(file)])
    (row,) = json.loads(file.read_text())["rows"]
    assert row["config"] == TINY
    assert 0 < row["import_seconds"][0] < row["other_seconds"][0]
    assert "energy_two_moons.py:tiny" in capsys.readouterr().out
