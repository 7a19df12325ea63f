"""What its environment asks of a process; how several train: tests/end_to_end/test_several_processes.py."""

import re
import socket
from collections.abc import Mapping

import pytest

from dlvr_jax import processes
from dlvr_jax.errors import UserError
from experiments.command import arguments


def test_without_a_coordinator_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    with processes.together() as count:
        assert count == 1
    arguments("sweep", "")


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"DLVR_COORDINATOR": "here:1", "DLVR_PROCESS_ID": "0"}, "DLVR_NUM_PROCESSES=: is not a number"),
        (
            {"DLVR_COORDINATOR": "here:1", "DLVR_NUM_PROCESSES": "2", "DLVR_PROCESS_ID": "-1"},
            "DLVR_PROCESS_ID=-1: is not a number",
        ),
        (
            {"DLVR_COORDINATOR": "here:1", "DLVR_NUM_PROCESSES": "2", "DLVR_PROCESS_ID": "2"},
            "DLVR_PROCESS_ID=2: is not between 0 and DLVR_NUM_PROCESSES=2, less one",
        ),
        ({"DLVR_COORDINATOR": "here"}, "DLVR_COORDINATOR=here: is neither"),
        ({"DLVR_COORDINATOR": "here:99999"}, "DLVR_COORDINATOR=here:99999: is neither"),
        (
            {"DLVR_COORDINATOR": "here:1", "DLVR_NUM_PROCESSES": "0", "DLVR_PROCESS_ID": "0"},
            "DLVR_NUM_PROCESSES=0: must be at least 1",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anyone_waits(
    variables: Mapping[str, str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=re.escape(fault)), processes.together():
        pass
    with pytest.raises(UserError, match=r"^sweep: DLVR_COORDINATOR makes one training of several processes; unset it$"):
        arguments("sweep", "")


@pytest.mark.parametrize("name", ["DLVR_NUM_PROCESSES", "DLVR_PROCESS_ID"])
@pytest.mark.parametrize("coordinator", [{}, {"DLVR_COORDINATOR": ""}, {"DLVR_COORDINATOR": "auto"}])
def test_what_only_a_named_coordinator_heeds_is_not_passed_over(
    name: str, coordinator: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {name: "2", **coordinator}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match=rf"^{name}=2: needs DLVR_COORDINATOR=HOST:PORT"), processes.together():
        pass


def test_a_port_in_use_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        where = f"127.0.0.1:{other.getsockname()[1]}"
        for name, value in (("COORDINATOR", where), ("NUM_PROCESSES", "2"), ("PROCESS_ID", "0")):
            monkeypatch.setenv(f"DLVR_{name}", value)
        with pytest.raises(UserError, match=f"{where}: .*; give a free port"), processes.together():
            pass


def test_one_process_waits_for_nobody_and_hears_its_own_signal_at_once() -> None:
    processes.meet(3)
    assert processes.heard(15, meeting=False) == 15 and processes.heard(None, meeting=True) is None
    tree = {"a": 1}
    assert processes.whole(tree) == tree
