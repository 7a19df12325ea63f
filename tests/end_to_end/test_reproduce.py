"""`reproduce`: equal without the config file and under other threads; else what differs, and why it may."""

import json
import shutil
from pathlib import Path

from tests.end_to_end.conftest import Launch


def test_a_run_comes_out_again_bit_for_bit_from_its_record_alone(
    tiny_run: Path, tmp_path: Path, launch: Launch
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    record = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**record, "config_file": "configs/cnn/gone.py"}))
    done = launch("reproduce", run, env={"NPROC": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "equal: parameters, data, metrics and the checkpoints of steps 8, 12, 16"
    )
    assert (tmp_path / "run-reproduction" / "summary.json").exists()


def test_what_differs_is_told_with_a_reason(tiny_run: Path, tmp_path: Path, launch: Launch) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    environment = json.loads((run / "environment.json").read_text())
    environment["versions"]["jax"], environment["git"] = "0.0.1", {"commit": "0" * 40, "dirty": False}
    (run / "environment.json").write_text(json.dumps(environment))
    metrics = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(
        metrics.replace('"step": 8, "split": "train", "accuracy": ', '"step": 8, "split": "train", "accuracy": 1')
    )
    done = launch("reproduce", run, "--workdir", tmp_path / "again")
    assert done.returncode == 1
    assert "metrics.jsonl, step 8, train, accuracy: 1" in done.stdout
    assert "why it may: versions.jax: 0.0.1, now" in done.stdout
    assert done.stdout.count(f"git.commit: {'0' * 40}, now") == 1 and "code: " not in done.stdout
