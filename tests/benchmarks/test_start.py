"""`start` measures each config that is named, and keeps what it measured."""

import json

from experiments.start import start

TINY = ("configs/ebm/energy_two_moons.py:tiny", "configs/cnn/lenet5_digits.py:tiny")


def test_the_starts_of_each_config_are_kept(tmp_path, capsys) -> None:
    file = tmp_path / "start.json"
    start([*TINY, "--repeats", "1", "--out", str(file)])
    rows = json.loads(file.read_text())["rows"]
    assert tuple(row["config"] for row in rows) == TINY
    assert all(0 < row["import_seconds"][0] < row["other_seconds"][0] for row in rows)
    shown = capsys.readouterr().out
    assert all(name.removeprefix("configs/") in shown for name in TINY)
