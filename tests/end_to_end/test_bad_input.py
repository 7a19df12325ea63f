"""Bad input of every kind: one clear line, exit code 1, no traceback, and nothing that existed is changed."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments import (
    benchmark,
    command,
    evaluate,
    explain,
    growth,
    measure,
    overhead,
    populations,
    predict,
    prove,
    report,
    reproduce,
    sample,
    start,
    train,
)
from experiments.command import main
from tests.damage import flip_a_byte

TINY = "configs/cnn/lenet5_digits.py:tiny"
PROGRAMS = {
    "train": train.train,
    "benchmark": benchmark.benchmark,
    "growth": growth.growth,
    "populations": populations.populations,
    "evaluate": evaluate.evaluate,
    "explain": explain.explain,
    "report": report.report,
    "reproduce": reproduce.reproduce,
    "measure": measure.measure,
    "overhead": overhead.overhead,
    "predict": predict.predict,
    "prove": prove.prove,
    "sample": sample.sample,
    "start": start.start,
}


@dataclass(frozen=True)
class Case:
    """A command line and what its error must say. RUN is a copy of a finished run, HERE an empty folder."""

    arguments: str
    says: str
    before: Callable[[Path, Path], object] = lambda run, here: None
    verb: str = "train"


def config(*lines: str) -> Callable[[Path, Path], object]:
    """A config file HERE/mine.py."""
    return lambda run, here: (here / "mine.py").write_text("\n".join(lines))


def module(text: str) -> Callable[[Path, Path], object]:
    """A user's module `mine`."""
    return lambda run, here: (here / "mine.py").write_text(text)


def content(name: str, text: bytes) -> Callable[[Path, Path], object]:
    """A file of the user's own."""
    return lambda run, here: (here / name).write_bytes(text)


def damage(name: str, content: bytes = b"{") -> Callable[[Path, Path], object]:
    """Overwrites a file of the run."""
    return lambda run, here: (run / name).write_bytes(content)


def unfinished(run: Path, here: Path) -> None:
    (run / "summary.json").unlink()


def edited(run: Path, here: Path) -> None:
    record = run / "config.json"
    record.write_text(record.read_text().replace('"batch_size": 16', '"batch_size": 8'))


def with_value(name: str, key: str, value: object) -> Callable[[Path, Path], object]:
    """One of the run's JSON files with another value under a key."""

    def apply(run: Path, here: Path) -> None:
        content = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({**content, key: value}))

    return apply


def every_checkpoint(change: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    """An unfinished run, each of whose checkpoints is changed."""

    def apply(run: Path, here: Path) -> None:
        unfinished(run, here)
        for path in (run / "checkpoints").iterdir():
            change(path)

    return apply


def pictures(*files: tuple[str, bytes]) -> Callable[[Path, Path], object]:
    """A folder HERE/pictures with these files."""

    def write(run: Path, here: Path) -> None:
        for name, content in files:
            path = here / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return write


def fashion(run: Path, here: Path) -> None:
    """A Fashion-MNIST file cut short."""
    (here / "fashion").mkdir()
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (here / "fashion" / f"{part}-ubyte.gz").write_bytes(b"\x1f\x8b\x08\x00cut")


MODEL = """
import flax.linen as nn
import jax
class Net(nn.Module):
    num_classes: int
    @nn.compact
    def __call__(self, x, *, train):
        {body}
"""
SHAKESPEARE = "configs/modern_rnn/lstm_shakespeare_1m.py:tiny --workdir HERE/new"
FOLDER = f"{TINY} --workdir HERE/new --config.data.name=image_folder"
USER = f"{TINY} --workdir HERE/new --config.model.name=mine.Net"
OTHER = f"{TINY} --workdir RUN"

CASES = {
    "config values": {
        "no examples": Case(f"{TINY} --config.train.batch_size=0", "train.batch_size = 0 must be at least 1"),
        "a word for a number": Case(
            f"{TINY} --config.optimizer.learning_rate=fast", "learning_rate = 'fast' is not a number"
        ),
        "not finite": Case(f"{TINY} --config.optimizer.learning_rate=1e999", "is not a finite number"),
        "no maps": Case(f"{TINY} --config.model.widths=6,0,120,84", "(6, 0, 120, 84) must be at least 1"),
        "a rate over one": Case(f"{TINY} --config.model.dropout=1.5", "model.dropout = 1.5 must be between 0 and 1"),
        "an unknown choice": Case(f"{TINY} --config.train.precision=float16", "is not one of 'float32', 'bfloat16'"),
        "half a step": Case(f"{TINY} --config.train.steps=2.5", "train.steps = '2.5' is not a whole number"),
        "a clip to nothing": Case(f"{TINY} --config.optimizer.clip_norm=0", "clip_norm = 0.0 must be at least 1e-06"),
        "a negative seed": Case(f"{TINY} --config.seed=-1", "seed = -1 must be between 0 and 4294967295"),
        "steps and epochs": Case(f"{TINY} --config.train.steps=4 --config.train.epochs=1", "give exactly one of them"),
        "a long warm-up": Case(
            f"{TINY} --config.optimizer.warmup_steps=99", "warmup_steps = 99 is longer than the run of 16"
        ),
        "an unknown metric": Case(f"{TINY} --config.eval.best=acuracy", "no such metric; there are loss, accuracy"),
        "uneven micro-batches": Case(
            f"{TINY} --config.train.accumulate=3", "train.batch_size = 16 does not split over"
        ),
        "uneven devices": Case(f"{TINY} --config.mesh.data=5", "does not split over 5 devices; use 15 or 20"),
        "uneven calls": Case(f"{TINY} --config.train.steps_per_call=3", "train.log_every = 4 is no multiple of"),
        "patience for nothing": Case(
            f"{TINY} --config.eval.best=none --config.train.early_stopping=2", "early_stopping: needs eval.best"
        ),
    },
    "flags": {
        "a misspelt key": Case(f"{TINY} --config.train.stepz=3", 'no such key; did you mean "train.steps"?'),
        "a misspelt section": Case(f"{TINY} --config.trian.steps=3", 'no such key; did you mean "train.steps"?'),
        "another name": Case(f"{TINY} --config.optimizer.lr=0.1", "config.optimizer has learning_rate, "),
        "no such flag": Case(f"{TINY} --confg.train.steps=3", "--confg.train.steps=3: unknown argument"),
        "no value": Case(f"{TINY} --config.train.steps", "--config.train.steps: needs a value"),
        "no key": Case(f"{TINY} --config.=3", "unknown argument"),
        "no such optimiser": Case(f"{TINY} --config.optimizer.name=adamm", 'no "adamm" in'),
        "no such model": Case(f"{TINY} --config.model.name=cnn.lenet5.LeNet6", 'did you mean "cnn.lenet5.LeNet5"?'),
        "no such data": Case(f"{TINY} --config.data.name=digit", 'did you mean "digits"?'),
        "a tagger to predict the next word": Case(
            f"{SHAKESPEARE} --config.model.name=modern_rnn.bidirectional.Tagger",
            "has no num classes, which model.name = modern_rnn.bidirectional.Tagger needs",
        ),
        "a tagger to predict the next word of tagged texts": Case(
            f"{SHAKESPEARE} --config.data.like=brown_names --config.model.name=modern_rnn.bidirectional.Tagger",
            "model.name = modern_rnn.bidirectional.Tagger: fails on",
        ),
        "no config": Case("", "the following arguments are required: CONFIG"),
        "a flag without its folder": Case(f"{TINY} --workdir", "--workdir: expected one argument"),
    },
    "figures": {
        "in the place of a text": Case(
            f"{TINY} --out HERE/mine.json", "mine.json: is no file of figures", content("mine.json", b"mine"), "start"
        ),
        "in the place of other JSON": Case(
            f"{TINY} --out HERE/mine.json",
            "mine.json: is no file of figures",
            content("mine.json", b"3"),
            "populations",
        ),
        "of a growth, in a folder": Case(
            f"{TINY} --along train.batch_size=4,8 --out HERE", "is a folder; give a file in it", verb="growth"
        ),
        "a number that grows and is set": Case(
            f"{TINY} --along train.batch_size=4,8 --config.train.batch_size=x",
            "--config.train.batch_size: is a number that grows here",
            verb="growth",
        ),
        "members that are a size": Case(
            f"{TINY} --config.population.size=3", "population.size: --members says", verb="populations"
        ),
        "a trace in a file": Case(
            f"{TINY} --profile HERE/mine", "HERE/mine is no folder", content("mine", b""), "benchmark"
        ),
        "a result below a file": Case(
            f"{TINY} --out HERE/mine/r.json", "HERE/mine is no folder", content("mine", b""), "measure"
        ),
    },
    "whole numbers": {
        "no steps": Case(f"{TINY} --steps 0", "--steps 0: must be between 1 and", verb="overhead"),
        "fewer steps than none": Case(f"{TINY} --steps -3", "--steps -3: must be between 1 and", verb="overhead"),
        "a pause before the first step": Case(f"{TINY} --until 0", "--until 0: must be at least 1"),
        "figures of starts in a folder": Case(f"{TINY} --out HERE", "is a folder; give a file in it", verb="start"),
        "fewer starts than none": Case(f"{TINY} --repeats -1", "--repeats -1: must be between 0 and", verb="start"),
        "fewer kills than none": Case(f"{TINY} --kills -1", "--kills -1: must be between 1 and", verb="prove"),
        "a word": Case("RUN --seed one", "--seed one: is not a whole number", verb="sample"),
        "too large a seed": Case("RUN --seed 4294967296", "must be between 0 and 4294967295", verb="sample"),
        "a step before the first": Case("RUN --step -1", "--step -1: must be at least 0", verb="evaluate"),
        "too many examples": Case("RUN --count 99999999", "--count 99999999: must be between 1 and", verb="predict"),
        "too large seeds": Case(
            f"{TINY} --seeds 0-99999999999", "--seeds 0-99999999999: must be between 0 and 4294967295", verb="measure"
        ),
        "too many seeds": Case(f"{TINY} --seeds 0-4294967295", "names more than 1000 seeds", verb="measure"),
        "too many seeds in parts": Case(f"{TINY} --seeds 0-998,1000,1001", "names more than 1000", verb="measure"),
    },
    "paths": {
        "no such config": Case("configs/cnn/lenet5_digit.py", 'did you mean "configs/cnn/lenet5_digits.py"?'),
        "a run as config": Case("RUN", "is a run folder; give a config file"),
        "a folder as config": Case("configs/cnn", "configs/cnn: no such config file"),
        "a text as config": Case("pyproject.toml", "a config is a Python file (.py)"),
        "no such variant": Case("configs/cnn/lenet5_digits.py:huge", 'no variant "huge"; there are tiny'),
        "a file as workdir": Case(
            f"{TINY} --workdir HERE/f", "is not empty and holds no run", lambda r, h: (h / "f").touch()
        ),
        "a full folder as workdir": Case(f"{TINY} --workdir HERE", "is not empty and holds no run", module("mine = 1")),
        "a folder as page": Case(
            "RUN --out HERE/page.html",
            "page.html is a folder; give a file in it",
            lambda run, here: (here / "page.html").mkdir(),
            verb="predict",
        ),
        "a file of the run as page": Case("RUN --out RUN/config.json", "a page must end in .html", verb="predict"),
        "a link to nothing as workdir": Case(
            f"{TINY} --workdir HERE/link",
            "link cannot be written: it is a link to nothing; choose another --workdir",
            lambda run, here: (here / "link").symlink_to(here / "nothing"),
        ),
        "a folder that cannot be": Case(f"{TINY} --workdir /dev/null/run", "/dev/null"),
        "no run to start from": Case(f"{TINY} --workdir HERE/new --from HERE/old", "old is not a run folder"),
    },
    "data files": {
        "no folder given": Case(FOLDER, "data.path: is missing, and has no default"),
        "no such folder": Case(f"{FOLDER} --config.data.path=HERE/none", "none"),
        "an empty folder": Case(f"{FOLDER} --config.data.path=HERE/p", "p", lambda r, h: (h / "p").mkdir()),
        "pictures that are none": Case(
            f"{FOLDER} --config.data.path=HERE/pictures",
            "pictures",
            pictures(*((f"a/{i}.png", b"x%d" % i) for i in range(30))),
        ),
        "files cut short": Case(
            f"{TINY} --workdir HERE/new --config.data.name=fashion_mnist --config.data.path=HERE/fashion",
            "ubyte",
            fashion,
        ),
        "a set that is not prepared": Case(
            f"{TINY} --workdir HERE/new --config.data.name=tfds_images --config.data.set=cifar10",
            "cifar10",
        ),
    },
    "checkpoints": {
        "all damaged": Case(f"{OTHER}", "no checkpoint is whole", every_checkpoint(flip_a_byte)),
        "all without digests": Case(
            f"{OTHER}", "no checkpoint is whole", every_checkpoint(lambda p: (p / "meta.json").unlink())
        ),
        "all without states": Case(
            f"{OTHER}", "no checkpoint is whole", every_checkpoint(lambda p: shutil.rmtree(p / "state"))
        ),
        "all with broken digests": Case(
            f"{OTHER}",
            "no checkpoint is whole",
            every_checkpoint(lambda p: (p / "meta.json").write_text('{"format": 1')),
        ),
        "of another model": Case(
            f"{TINY} --workdir HERE/new --from RUN --config.model.widths=(6,16,120,85) --config.train.steps=32",
            "is float32 (84,) there, but float32 (85,) in this config",
        ),
        "none to start from": Case(
            f"{TINY} --workdir HERE/new --from RUN --config.train.steps=32",
            "has no checkpoint to start from",
            lambda run, here: shutil.rmtree(run / "checkpoints"),
        ),
        "too late to start from": Case(
            f"{TINY} --workdir HERE/new --from RUN --config.seed=1", "set train.steps above that"
        ),
    },
    "run folders": {
        "no run": Case("HERE", "is not a run folder", verb="evaluate"),
        "nothing": Case("HERE/none", "none is not a run folder: there is no such folder", verb="report"),
        "a config": Case(TINY.removesuffix(":tiny"), "it is a file; give the folder", verb="evaluate"),
        "a damaged config": Case("RUN", "config.json cannot be read", damage("config.json"), "evaluate"),
        "another format": Case("RUN", "is not of format 1", damage("config.json", b'{"format": 99}'), "report"),
        "a damaged summary": Case("RUN", "summary.json cannot be read", damage("summary.json"), "report"),
        "an edited config": Case(OTHER, "was changed since the run began", edited),
        "an edited config given to another verb": Case("RUN", "was changed since the run began", edited, "evaluate"),
        "data changed since": Case(
            "RUN", "was trained on other data than these", with_value("environment.json", "data", "0" * 64), "evaluate"
        ),
        "a summary of another kind": Case(
            "RUN", "summary.json is damaged at step", damage("summary.json", b'{"format": 1, "metrics": 3}'), "report"
        ),
        "a processor without threads": Case(
            "RUN", "environment.json is damaged at cpu.model", with_value("environment.json", "cpu", {}), "evaluate"
        ),
        "half a commit": Case(
            "RUN",
            "environment.json is damaged at git.commit",
            with_value("environment.json", "git", {"dirty": 3}),
            "reproduce",
        ),
        "no device": Case(
            "RUN",
            "environment.json is damaged at device.platform",
            with_value("environment.json", "device", {}),
            "report",
        ),
        "an origin of another kind": Case(
            "RUN", "config.json is damaged at from.run", with_value("config.json", "from", 3), "evaluate"
        ),
        "an empty origin": Case(OTHER, "config.json is damaged at from.run", with_value("config.json", "from", {})),
        "a config without a model": Case(
            "RUN", "config.json is damaged at config.model.name", with_value("config.json", "config", {}), "report"
        ),
        "damaged metrics": Case(
            "RUN", "metrics.jsonl is damaged at line 1", damage("metrics.jsonl", b"{\n{}\n"), "report"
        ),
        "another config's run": Case(
            f"{OTHER} --config.seed=5", "holds a run of another config: seed is 0 there, 5 here"
        ),
        "not finished": Case("RUN", "RUN", unfinished, "reproduce"),
    },
    "user modules": {
        "a syntax error": Case("HERE/mine.py", "mine.py:1", config("def get_config(")),
        "no get_config": Case("HERE/mine.py", "must define get_config(arg)", config("x = 1")),
        "get_config fails": Case(
            "HERE/mine.py", "mine.py:2: ZeroDivisionError", config("def get_config(arg):", "    return 1/0")
        ),
        "get_config returns nothing": Case(
            "HERE/mine.py", "returns NoneType", config("def get_config(arg):", "    pass")
        ),
        "an import that fails": Case(
            "HERE/mine.py", "ModuleNotFoundError: No module named 'nowhere'", config("import nowhere")
        ),
        "a model that ends the program": Case(USER, "the module mine fails to import: SystemExit", module("exit(0)")),
        "what is no model": Case(
            f"{TINY} --config.model.name=jax.numpy.zeros", "is no class with the methods init, apply"
        ),
        "what is not public": Case(f"{TINY} --config.optimizer.schedule=_warmed", 'a part of it begins with "_"'),
        "a model that fails to import": Case(
            USER, "the module mine fails to import: NameError", module("undefined_name")
        ),
        "no such model inside": Case(USER, 'no "mine.Net"', module("class Nett: pass")),
        "a model with too few outputs": Case(
            USER,
            "not a logit for each of 10 classes",
            module(MODEL.format(body="return nn.Dense(3)(x.reshape(len(x), -1))")),
        ),
        "a model that fails": Case(
            USER, "model.name = mine.Net: fails on", module(MODEL.format(body="return nn.Dense(10)(x.nothing)"))
        ),
        "a model whose callback fails": Case(
            USER,
            "a computation fails: ZeroDivisionError: division by zero",
            module(
                MODEL.format(body="return nn.Dense(10)(x.mean((1, 2))) + jax.pure_callback(lambda: 1 / 0, x[0, 0, 0])")
            ),
        ),
        "a model that fails in training": Case(
            f"{TINY} --config.model.name=mine.Net",
            "the training step fails: AttributeError",
            module(MODEL.format(body="return nn.Dense(10)(x.nothing if train else x.mean((1, 2)))")),
            "explain",
        ),
    },
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, cases in CASES.items() for name in cases])
def test_bad_input(
    kind: str,
    name: str,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = CASES[kind][name]
    run, here = tmp_path / "run", tmp_path / "here"
    shutil.copytree(tiny_run, run)
    here.mkdir()
    case.before(run, here)
    files = contents(tmp_path)
    words = [word.replace("RUN", str(run)).replace("HERE", str(here)) for word in case.arguments.split()]
    monkeypatch.setattr(sys, "argv", ["program", *words])
    monkeypatch.syspath_prepend(here)
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    with pytest.raises(SystemExit) as exit_code:
        main(PROGRAMS[case.verb])

    shown = capsys.readouterr()
    errors = [line for line in shown.err.splitlines() if not line.startswith(("warning: ", "reading "))]
    assert exit_code.value.code == 1
    assert errors and all(line.startswith("error: ") for line in errors), shown.err
    assert case.says.replace("RUN", str(run)).replace("HERE", str(here)) in shown.err, shown.err
    assert "Traceback" not in shown.err + shown.out
    assert {path: text for path, text in contents(tmp_path).items() if path in files} == files


def test_there_are_enough_cases_of_every_kind() -> None:
    assert all(len(cases) >= 5 for cases in CASES.values()) and sum(map(len, CASES.values())) >= 40


def test_all_faults_are_reported_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--config.train.stepz=3",
        "--config.model.dropout=2",
        "--config.optimizer.learning_rate=x",
        "--config.seed=-1",
    ]
    monkeypatch.setattr(sys, "argv", ["program", TINY, *flags])
    with pytest.raises(SystemExit):
        main(train.train)
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_where_a_fault_comes_from_is_shown_if_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DLVR_TRACEBACK", "1")
    monkeypatch.setattr(sys, "argv", ["program", "configs/none.py"])
    with pytest.raises(SystemExit):
        command.main(train.train)
    assert "Traceback" in capsys.readouterr().err


def contents(folder: Path) -> dict[Path, str]:
    """The digest of every file but locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
