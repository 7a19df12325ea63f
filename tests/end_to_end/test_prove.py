"""`prove` proves, and the comparison that it rests on sees every kind of difference."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dlvr_jax.compare import differences
from dlvr_jax.run import Run
from tests.end_to_end.conftest import TINY, Launch


def test_a_run_killed_twice_is_bit_identical(tmp_path: Path, launch: Launch) -> None:
    flags = ["--kills", 2, "--seed", 1, "--workdir", tmp_path / "runs", "--config.train.steps=60"]
    done = launch("prove", TINY, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("kill ") for line in lines) == 2
    assert "during a save" in done.stdout
    assert lines[-1].startswith("bit-identical after 2 kills")


def test_a_training_that_fails_is_a_line(tmp_path: Path, launch: Launch) -> None:
    done = launch("prove", TINY, "--workdir", tmp_path / "runs", "--config.eval.best=beauty")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the training failed with exit code 1: eval.best = beauty: no such metric")
    assert done.stderr.count("\n") == 1


def another_leaf(run: Path) -> None:
    edit(
        run / "checkpoints" / "12" / "meta.json",
        lambda meta: meta["digests"].update({"state/params/c1/kernel": "0" * 64}),
    )


def another_window(run: Path) -> None:
    def change(meta: dict) -> None:
        meta["memory"].update(best_step=[4])
        meta["memory_digest"] = sha256(json.dumps(meta["memory"], sort_keys=True).encode()).hexdigest()

    edit(run / "checkpoints" / "12" / "meta.json", change)


def another_loss(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    changed = json.loads(lines[1])
    lines[1] = json.dumps({**changed, "loss": changed["loss"] + 1e-15, "seconds": 0.0})
    (run / "metrics.jsonl").write_text("\n".join(lines))


def a_line_less(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:-1]))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


CHANGES = {
    "a leaf": (another_leaf, "checkpoints/12, state/params/c1/kernel: "),
    "what the loop remembers": (another_window, "checkpoints/12, memory/best_step: [8] in the first, [4] in the"),
    "a figure": (another_loss, "metrics.jsonl, step 8, train, loss: "),
    "a line": (a_line_less, "metrics.jsonl, line 7: step 16, test in the first, nothing in the second"),
    "the parameters": (
        lambda run: edit(run / "summary.json", lambda s: s.update(params_sha256="0")),
        "summary.json, params_sha256",
    ),
    "the data": (
        lambda run: edit(run / "summary.json", lambda s: s["data"].update(fingerprint="0")),
        "summary.json, data",
    ),
    "a final metric": (
        lambda run: edit(run / "summary.json", lambda s: s["metrics"].update({"test/loss": 0.0})),
        "summary.json, test/loss",
    ),
    "the config": (
        lambda run: edit(run / "config.json", lambda c: c["config"].update(seed=1)),
        "config.json, seed: 0 in the first, 1",
    ),
    "its end": (
        lambda run: (run / "summary.json").unlink(),
        "summary.json: finished in the first, unfinished in the second",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_comparison_sees(what: str, tiny_run: Path, tmp_path: Path) -> None:
    change, says = CHANGES[what]
    run = shutil.copytree(tiny_run, tmp_path / "run")
    change(run)
    found = differences(Run(tiny_run), Run(run))
    assert len(found) == 1
    assert str(found[0]).startswith(says)


def test_times_are_no_difference(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    slower = [{**line, "seconds": line["seconds"] + 1} for line in lines]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, slower)))
    assert differences(Run(tiny_run), Run(run)) == []
