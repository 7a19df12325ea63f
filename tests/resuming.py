"""A run cut back to a checkpoint, and all of it that must come out again when it goes on."""

from dlvr_jax.run import TIMES, Run
from dlvr_jax.training import checkpoint


def lines(run: Run) -> list[dict]:
    """The metrics without times."""
    return [{key: value for key, value in line.items() if key not in TIMES} for line in run.metrics()]


def outcome(run: Run) -> tuple:
    """Parameters and metrics of the summary, every line of metrics, and the digest of every leaf of the last state."""
    summary = run.summary()
    assert summary is not None
    last = run.checkpoints / str(checkpoint.steps(run.checkpoints)[-1])
    return summary["params_sha256"], summary["metrics"], lines(run), checkpoint.read_meta(last)["digests"]


def cut_back(run: Run, step: int) -> None:
    """The folder as a process killed shortly after this checkpoint leaves it."""
    assert step in checkpoint.steps(run.checkpoints)
    (run.path / "summary.json").unlink()
    for later in [number for number in checkpoint.steps(run.checkpoints) if number > step]:
        (run.checkpoints / str(later)).rename(run.path / f"gone-{later}")
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 16, "split": "tr')
