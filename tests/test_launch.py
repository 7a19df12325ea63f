"""launch.sh in a copy of its own, with made-up Pythons on PATH: what it sets up, what it refuses, what it runs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAKE = ROOT / "tests" / "fake_python.sh"
COMMANDS = [
    "bash",
    "env",
    "basename",
    "cat",
    "cksum",
    "cp",
    "dirname",
    "flock",
    "grep",
    "mkdir",
    "readlink",
    "sleep",
    "sort",
]


class House:
    """A copy of what launch.sh needs, in a folder whose name has spaces, and a PATH that has nothing else on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "a b" / "repo"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.venv = self.root / ".venv"
        for name in ("tools", "requirements"):
            shutil.copytree(ROOT / name, self.root / name)
        shutil.copy(ROOT / "launch.sh", self.root)
        (self.root / "experiments").mkdir()
        for name in ("train", "report"):
            (self.root / "experiments" / f"{name}.py").write_text('if __name__ == "__main__":\n    main()\n')
        for name in ("__init__", "command"):
            (self.root / "experiments" / f"{name}.py").touch()
        self.bin.mkdir()
        for name in COMMANDS:
            found = shutil.which(name)
            if found is None:
                pytest.skip(f"{name} is not on PATH")
            (self.bin / name).symlink_to(found)
        self.calls.touch()

    def add_python(self, minor: int) -> None:
        shutil.copy(FAKE, self.bin / f"python3.{minor}")

    def start(
        self, *arguments: str, script: Path | None = None, cwd: Path | None = None, **settings: str
    ) -> subprocess.Popen[str]:
        environment = {
            "PATH": str(self.bin), "HOME": str(self.folder), "CALLS": str(self.calls), "REAL_PYTHON": sys.executable,
            "DLVR_PLATFORM": "cpu",
        } | settings  # fmt: skip
        command = [str(script or self.root / "launch.sh"), *arguments]
        return subprocess.Popen(
            command, cwd=cwd or self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def launch(self, *arguments: str, script: Path | None = None, cwd: Path | None = None, **settings: str) -> "Result":
        process = self.start(*arguments, script=script, cwd=cwd, **settings)
        return Result(process)

    def made(self) -> int:
        """How often an environment has been made."""
        return self.calls.read_text().count("-m venv")


class Result:
    """What a finished call has printed, and its exit code."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out, self.err = process.communicate(timeout=60)
        self.code, self.pid = process.returncode, process.pid

    def values(self, name: str) -> list[str]:
        return re.findall(f"^{name}=(.*)$", self.out, re.MULTILINE)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.add_python(13)
    return house


def test_no_argument_trains_the_default(house: House) -> None:
    result = house.launch()
    assert result.values("argument") == ["-m", "experiments", "train", "configs/cnn/lenet5_digits.py"]
    assert (result.code, house.made()) == (0, 1)
    assert "setting up" in result.err and "Python" in result.err


def test_a_call_after_set_up_starts_nothing_but_the_program(house: House) -> None:
    house.launch("train")
    house.calls.write_text("")
    assert house.launch("report", "RUN").code == 0
    assert house.calls.read_text() == "python -m experiments report RUN\n"


@pytest.mark.parametrize("way", ["absolute", "absolute link", "relative link", "link to a link", "relative"])
def test_the_call_keeps_folder_and_arguments(house: House, way: str) -> None:
    elsewhere = house.folder / "else where"
    elsewhere.mkdir()
    script = elsewhere / "link"
    target = house.root / "launch.sh"
    if way == "absolute":
        script = target
    elif way == "absolute link":
        script.symlink_to(target)
    elif way == "relative":
        script = Path("../a b/repo/launch.sh")
    else:
        script.symlink_to("../a b/repo/launch.sh")
        if way == "link to a link":
            (elsewhere / "second").symlink_to("link")
            script = elsewhere / "second"
    result = house.launch("train", "x y", "", "--a=$b", script=script, cwd=elsewhere, PYTHONPATH="/own")
    assert result.values("argument") == ["-m", "experiments", "train", "x y", "", "--a=$b"]
    assert result.values("cwd") == [str(elsewhere)]
    assert result.values("path") == [f"{house.root}:/own:{elsewhere}"]


def test_the_program_takes_the_place_of_the_shell(house: House) -> None:
    result = house.launch("train", FAKE_EXIT="143")
    assert result.code == 143
    assert result.values("pid") == [str(result.pid)], "signals must reach the program"


def test_tests_run_in_the_repository(house: House) -> None:
    result = house.launch("test", "-k", "x")
    assert result.values("argument")[:2] == ["-m", "pytest"]
    assert result.values("argument")[-3:] == ["8", "-k", "x"]
    assert result.values("cwd") == [str(house.root)]


def test_the_users_allocator_settings_hold(house: House) -> None:
    assert house.launch("train").values("malloc") == ["268435456"]
    assert house.launch("train").values("arenas") == ["1"] and house.launch("test").values("arenas") == [""]
    assert house.launch("train", MALLOC_TOP_PAD_="1").values("malloc") == ["1"]


@pytest.mark.parametrize(
    "damage", ["no stamp", "empty stamp", "old lock", "no python", "dangling python", "half-made", "stranger's"]
)
def test_a_damaged_environment_is_repaired(house: House, damage: str) -> None:
    if damage in ("half-made", "stranger's"):
        (house.venv / "bin").mkdir(parents=True)
        (house.venv / ("pyvenv.cfg" if damage == "stranger's" else ".launch_lock")).touch()
    else:
        house.launch("train")
    if damage == "no stamp":
        (house.venv / ".ready").unlink()
    elif damage == "empty stamp":
        (house.venv / ".ready").write_text("")
    elif damage == "old lock":
        with (house.root / "requirements/cpu.lock").open("a") as lock:
            lock.write("# changed\n")
    elif "python" in damage:
        (house.venv / "bin/python").unlink()
        if damage == "dangling python":
            (house.venv / "bin/python").symlink_to("/nowhere/python3.13")
    before = house.made()
    assert house.launch("train").code == 0
    assert house.made() == before + 1
    assert house.launch("train").err == "", "ready now"


FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
OFFLINE_PIP = (
    "WARNING: Retrying: NameResolutionError: Temporary failure in name resolution\nERROR: No matching distribution"
)
OFFLINE_UV = "error: Request failed after 3 retries\n  cause: dns error"
FULL_UV = "error: failed to copy\n  cause: No space left on device (os error 28)"
REFUSALS = {
    "unknown verb": (["trian"], {}, "unknown verb 'trian'; use one of: test report train"),
    "a verb that is a path": (["../train"], {}, "unknown verb '../train'"),
    "a verb that is no program": (["__init__"], {}, "unknown verb '__init__'"),
    "a verb that is a shared module": (["command"], {}, "unknown verb 'command'"),
    "an option in place of a verb": (["--config.seed=1"], {}, "unknown verb '--config.seed=1'"),
    "unknown platform": (["train"], {"DLVR_PLATFORM": "gpu"}, "DLVR_PLATFORM=gpu is unknown; use cpu, cuda or tpu"),
    "no such Python": (["train"], {"DLVR_PYTHON": "python4"}, "DLVR_PYTHON=python4 does not run"),
    "a shim": (["train"], {"DLVR_PYTHON": "python3.99"}, "DLVR_PYTHON=python3.99 does not run"),
    "offline, pip": (["train"], {"FAKE_PIP": OFFLINE_PIP}, "cannot download packages: is there a network?"),
    "offline, uv": (["train"], {"FAKE_UV": OFFLINE_UV}, "cannot download packages: is there a network?"),
    "full disk, pip": (["train"], {"FAKE_PIP": FULL}, "the disk is full"),
    "full disk, uv": (["train"], {"FAKE_UV": FULL_UV}, "the disk is full"),
    "none without a Python": (["train"], {"DLVR_VENV": "none"}, "DLVR_VENV=none, but there is no Python on PATH"),
    "a folder that cannot be": (["train"], {"DLVR_VENV": "/dev/null/v"}, "cannot set up /dev/null/v"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_a_user_can_mend_is_one_line(house: House, case: str) -> None:
    house.add_python(99)
    arguments, settings, text = REFUSALS[case]
    result = house.launch(*arguments, **settings)
    lines = [line for line in result.err.splitlines() if not line.startswith("setting up ")]
    assert result.code == 1
    assert len(lines) == 1 and lines[0].startswith(f"error: {text}"), result.err
    assert not (house.venv / ".ready").exists()


def test_a_missing_python_is_one_line(tmp_path: Path) -> None:
    result = House(tmp_path).launch("train")
    assert result.code == 1
    assert result.err.startswith("error: found no Python from 3.11 on") and result.err.count("\n") == 1


@pytest.mark.parametrize("content", ["thesis.tex", "pyvenv.cfg", ".lock"])
def test_a_folder_that_holds_something_else_is_left_alone(house: House, content: str) -> None:
    mine = house.folder / "mine"
    mine.mkdir()
    (mine / content).touch()
    result = house.launch("train", DLVR_VENV="mine")
    assert result.code == 1 and "holds something that launch.sh has not made" in result.err
    assert [path.name for path in mine.iterdir()] == [content]


def test_the_newest_python_that_answers_is_taken(house: House) -> None:
    house.add_python(11)
    house.add_python(99)
    house.launch("train")
    assert (house.venv / "made_by").read_text() == "python3.13\n"


def test_pyenvs_pythons_are_found(tmp_path: Path) -> None:
    house = House(tmp_path)
    folder = tmp_path / ".pyenv/versions/3.12.1/bin"
    folder.mkdir(parents=True)
    shutil.copy(FAKE, folder / "python3.12")
    assert house.launch("train", DLVR_PYTHON="python3.12").code == 0


def test_an_older_python_is_taken_where_the_newest_has_no_packages(house: House) -> None:
    house.add_python(11)
    result = house.launch("train", FAKE_UV="error: no wheel for this Python", FAKE_OLD="python3.11")
    assert result.code == 0 and "cannot make the environment: error: no wheel for this Python" in result.err
    assert (house.venv / "made_by").read_text() == "python3.11\n"


def test_another_python_that_is_asked_for_makes_the_environment_anew(house: House) -> None:
    house.add_python(11)
    house.launch("train")
    for _ in range(2):
        assert house.launch("train", DLVR_PYTHON="python3.11").code == 0
    assert house.launch("train").code == 0
    assert (house.venv / "made_by").read_text() == "python3.11\n"
    assert house.made() == 2


def test_an_interpreter_is_used_as_it_is(house: House) -> None:
    result = house.launch("train", DLVR_VENV="none", DLVR_PYTHON="python3.13")
    assert result.code == 0 and result.values("argument")[:3] == ["-m", "experiments", "train"]
    assert house.made() == 0 and not house.venv.exists()


def test_device_wheels_serve_a_machine_without_the_device(house: House) -> None:
    house.launch("train", DLVR_PLATFORM="cuda")
    assert house.launch("train", DLVR_PLATFORM="").err == ""
    assert house.made() == 1


def test_two_at_once_make_one_environment(house: House) -> None:
    first, second = (house.start("train", FAKE_SECONDS="1") for _ in range(2))
    results = [Result(first), Result(second)]
    assert [result.code for result in results] == [0, 0]
    assert house.made() == 1
    assert sum("waiting for another launch.sh" in result.err for result in results) == 1


def test_a_killed_set_up_is_waited_for_and_repaired(house: House) -> None:
    """The installer outlives the shell and the Python that are killed: nobody may delete what it still writes to."""
    process = house.start("train", FAKE_SECONDS="3")
    deadline = time.monotonic() + 30
    while "uv pip install" not in house.calls.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for pid in (process.pid, int(Path(f"{house.calls}.set_up_pid").read_text())):
        os.kill(pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    result = house.launch("train")
    process.communicate()
    assert result.code == 0 and house.made() == 2
    assert "waiting for another launch.sh" in result.err


@pytest.mark.parametrize("name", ["cpu", "cuda", "tpu", "installer"])
def test_a_lock_is_whole(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    packages = re.findall(r"^([a-z0-9-]+)==.*\n((?:    --hash.*\n)+)", text, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^[a-z]", text, re.MULTILINE)), "every package has hashes"
    assert "://" not in text and "torch" not in {package for package, _ in packages}
