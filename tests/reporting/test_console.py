"""The terminal: a line redrawn in place, plain lines without one, tables, results."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlvr_jax.reporting import console
from dlvr_jax.reporting.console import Progress
from tests.reporting.made_up import record

TRAINING = """
import time
from dlvr_jax.reporting.console import Progress
with Progress(200) as progress:
    for step in range(1, 201):
        progress.update(step, {"loss": 2 / step, "accuracy": step / 200, "learning_rate": 0.1}, 12345.6)
        if step == 100:
            progress.note("step 100  validation [bold]loss 0.5")
        time.sleep(0.002)
"""
ACTIVITY = """
from dlvr_jax.reporting.console import activity
with activity() as show:
    show("measuring [x]")
    show("still " + 30 * "measuring ")
"""
UPDATES = """
import time
from dlvr_jax.reporting.console import Progress
progress, metrics = Progress(10**9), {"loss": 1.0}
progress.update(1, metrics, None)
start = time.perf_counter()
for step in range(20_000):
    progress.update(step, metrics, 9.0)
print((time.perf_counter() - start) / 20_000)
"""


def on_a_terminal(columns: int, code: str = TRAINING, **environment: str) -> str:
    """What a program, the made-up training, writes to a terminal of a width."""
    leader, follower = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, env=variables)
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert process.wait(timeout=10) == 0
    return written.decode()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_shows_a_line_that_is_redrawn() -> None:
    written = on_a_terminal(100)
    frames = [plain(frame) for frame in written.split("\r")]
    middle = next(frame for frame in frames if "left" in frame)
    assert re.search(r"\d+/200 .*━.* loss [\d.]+  accuracy 0\.\d+  0:0\d left  12,346 ex/s", middle)
    assert "200/200" in frames[-2] or "200/200" in frames[-1]
    assert 3 <= len(frames) < 60, "drawn seldom"
    assert "learning_rate" not in written
    assert "step 100  validation [bold]loss 0.5" in plain(written)


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    frames = [plain(frame) for frame in re.split(r"[\r\n]", on_a_terminal(columns))]
    assert max(len(frame) for frame in frames if "validation" not in frame) <= columns
    assert any("loss" in frame for frame in frames if "/200" in frame) or columns == 20


def test_no_color_is_respected() -> None:
    assert not re.search(r"\x1b\[[0-9;]*3\d", on_a_terminal(80, NO_COLOR="1"))
    assert re.search(r"\x1b\[[0-9;]*3\d", on_a_terminal(80))


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}])
def test_without_a_terminal_there_are_plain_lines_on_stderr(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert done.stdout == ""
    assert plain(done.stderr).splitlines() == [
        "step   1/200  loss 2.000  accuracy 0.005000  12,346 ex/s",
        "step 100  validation [bold]loss 0.5",
        "step 200/200  loss 0.01000  accuracy 1.000  12,346 ex/s",
    ]


def test_an_activity_is_shown_in_place_and_gone_at_the_end() -> None:
    written = on_a_terminal(40, ACTIVITY)
    frames = [plain(frame) for frame in re.split(r"[\r\n]", written)]
    assert "measuring [x]" in frames and max(map(len, frames)) <= 40
    assert written.rpartition("measuring")[2].endswith("\x1b[2K")
    done = subprocess.run([sys.executable, "-c", ACTIVITY], capture_output=True, text=True, check=True)
    assert done.stdout == "" and done.stderr.splitlines() == ["measuring [x]", "still " + 30 * "measuring "]


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert "\x1b" not in on_a_terminal(80, TERM="dumb")


def test_an_update_that_draws_nothing_costs_microseconds() -> None:
    # in another process, where no run-time type checks stand around the call
    done = subprocess.run([sys.executable, "-c", UPDATES], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10e-6


def test_progress_copes_with_what_it_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    for total, first, metrics in [(0, 0, {}), (10, 10, {"loss": float("nan")}), (5, 7, {"loss": float("inf")})]:
        with Progress(total, first) as progress:
            progress.update(total, metrics, None)
    assert "loss nan" in capsys.readouterr().err


def test_losses_are_told_before_other_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(9) as progress:
        progress.update(1, {"fake_score": 0.5, "d_loss": 1.0, "real_score": 0.5, "g_loss": 2.0}, None)
    assert "d_loss 1.000  g_loss 2.000  fake_score 0.5000" in capsys.readouterr().err


def test_differences_name_key_value_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_differences({"format": 1, **record(argument="tiny")})
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == "configs/cnn/lenet5_digits.py:tiny: 3 keys other than the defaults"
    assert [row.split() for row in rows] == [
        ["model.name", "cnn.lenet5.LeNet5", "config"],
        ["data.name", "digits", "config"],
        ["optimizer.learning_rate", "0.002", "flag"],
    ]


def test_parameters_add_up_and_fit_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    deep = "encoder/layer_11/attention/query/projection/kernel/of/a/very/deep/model"
    rows = [("conv/kernel", (5, 5, 1, 6), np.dtype("float32"), 150), (deep, (), "float32", 1)]
    console.print_parameters(rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["conv/kernel", "5", "x", "5", "x", "1", "x", "6", "float32", "150"]
    assert lines[-1].split() == ["total", "151"]
    assert max(map(len, lines)) <= 80


def test_the_result_is_short_and_names_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    report = Path("runs") / ("long" * 30) / "report.html"
    console.print_result({"test/accuracy": 0.9911, "test/f1/7": 0.5}, "step 8 of 9", report, 71.2)
    assert capsys.readouterr().out.splitlines() == [
        "test/accuracy  0.9911",
        "tested         step 8 of 9",
        "time           1 min 11 s",
        f"report         {report}",
    ]


def test_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("checkpoint 300 is damaged [x]")
    assert capsys.readouterr() == ("", "warning: checkpoint 300 is damaged [x]\n")
