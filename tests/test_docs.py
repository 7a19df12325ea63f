"""The documents name only what exists: files, verbs, flags, settings, names in the code; and the tutorial works."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dlvr_jax.models.cnn
from dlvr_jax import check, config
from dlvr_jax.build import build
from dlvr_jax.reporting.results import read_all
from dlvr_jax.reporting.results_page import page
from dlvr_jax.reporting.studies_page import read_studies
from dlvr_jax.schema import fields_of
from tests.configs import PATHS, tiny

ROOT = config.ROOT
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = ROOT / "docs" / "adding_an_architecture.md"
FOLDERS = ("configs", "dlvr_jax", "experiments", "tests", "tools", "requirements", "docs")
PLACEHOLDER = re.compile(r"\b(CONFIG|RUN|DIR|VERB|FAMILY|NAME|MODEL_DATA|KEY|FILE)\b")
TAKES_CONFIG = ("train", "explain", "prove", "measure", "overhead", "start")
LIBRARIES = ("nn.", "my_")  # names that are not the project's own: Flax's, the reader's
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
CODE = ("configs", "dlvr_jax", "experiments", "tools")
SOURCES = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")] + [ROOT / "launch.sh"]

every_document = pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data that examples name are the reader's: nothing is looked for."""
    monkeypatch.setattr(check, "_train_examples", lambda flat, wrong: (None, ()))


def code_of(text: str) -> str:
    """What is written as code: in backticks, in fences, in indented lines."""
    fenced = [block for _, block in FENCE.findall(text)]
    rest = FENCE.sub("", text)
    indented = re.findall(r"^ {4}.*$", rest, re.MULTILINE)
    return "\n".join([*fenced, *indented, *re.findall(r"`([^`\n]+)`", rest)])


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each call of launch.sh, verb first."""
    for line in re.findall(r"/launch\.sh(?: +([^#\n;]*))", code_of(text)):
        if words := shlex.split(line.replace('"', "").rstrip(" .,")):
            yield words


def made_by_the_reader() -> dict[str, str]:
    """The files of the tutorial: `path` before a block of Python is where its text goes."""
    parts = re.findall(r"[Ww]rite `([^`]+)`[^`]*```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    return dict(parts)


@pytest.fixture
def tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the reader of the tutorial has written, where Python finds it."""
    for name, text in made_by_the_reader().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    models = tmp_path / "dlvr_jax/models/cnn"
    (tmp_path / "my_models.py").write_text((models / "small_net.py").read_text())
    monkeypatch.setattr(dlvr_jax.models.cnn, "__path__", [*dlvr_jax.models.cnn.__path__, str(models)])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@cache
def words() -> set[str]:
    """Every word of the project's code and of its files' names."""
    files = [*SOURCES, *ROOT.glob("*"), *(ROOT / "docs").glob("*"), *(ROOT / "configs").glob("**/*.py")]
    text = "\n".join([path.read_text() for path in [*SOURCES, ROOT / "pyproject.toml"]] + [path.name for path in files])
    return set(re.findall(r"\w+", text + "\n".join(made_by_the_reader().values())))


@every_document
def test_files_that_are_named_exist(document: Path) -> None:
    found = re.findall(rf"(?<![\w/.-])((?:{'|'.join(FOLDERS)})/[\w./*-]*)", code_of(document.read_text()))
    names = {name.rstrip(".") for name in found if not PLACEHOLDER.search(name)}
    expected = names - made_by_the_reader().keys()
    assert not [name for name in expected if not any(ROOT.glob(name.rstrip("/")))]


@every_document
def test_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = document.parent / path if path else document
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, target


@cache
def sampling_options() -> set[str]:
    """The flags of the verb `sample`, of whichever task."""
    samplers = [sampler for path in PATHS if (sampler := tiny(path).task.sample)]
    return {f"--{name}" for sampler in samplers for name in fields_of(sampler)}


@every_document
def test_verbs_and_their_arguments_exist(document: Path) -> None:
    for verb, *rest in commands(document.read_text()):
        if verb in ("test", "VERB"):
            continue
        program = ROOT / "experiments" / f"{verb}.py"
        assert program.exists() and "__main__" in program.read_text(), verb
        known = sampling_options() if verb == "sample" else set()
        for flag in (word.partition("=")[0] for word in rest):
            if flag.startswith("--") and not flag.startswith(("--config.", "--slurm.")):
                assert f'"{flag}"' in program.read_text() or flag in {"--help", *known}, f"{verb} {flag}"


@pytest.mark.parametrize("document", [d for d in DOCS if "config." in d.read_text()], ids=lambda path: path.name)
def test_configs_and_settings_of_commands_pass_the_check(document: Path, tutorial: Path) -> None:
    for verb, *rest in commands(document.read_text()):
        files = [word for word in rest if word.partition(":")[0].endswith(".py")]
        if verb in TAKES_CONFIG and files and files[0] != "my_config.py" and not PLACEHOLDER.search(files[0]):
            flags = config.flags([word for word in rest if word.startswith("--config.")])
            check.complete(config.load(config.find(files[0])), flags)


@cache
def keys() -> set[str]:
    """Every key of every config, with the arguments of each data set for images."""
    file, found = config.load(config.find("configs/cnn/lenet5_digits.py")), set()
    for path in PATHS:
        found |= check.complete(config.load(config.find(path)), {}).flat.keys()
    for name in ("digits", "made_up", "image_folder", "tfds_images"):
        needed = {"image_folder": {"data.path": "."}, "tfds_images": {"data.set": "cifar10"}}.get(name, {})
        found |= check.complete(file, {"data.name": name, **needed}).flat.keys()
    return found


@every_document
def test_settings_outside_commands_are_keys(document: Path) -> None:
    spans = re.findall(r"`(?:--config\.)?(\w+\.\w+)(?:=[^`]*)?`", document.read_text())
    sections = {key.partition(".")[0] for key in keys()}
    assert not [key for key in spans if key.partition(".")[0] in sections and key not in keys()]


@every_document
def test_names_of_the_code_exist(document: Path) -> None:
    spans = re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", FENCE.sub("", document.read_text()))
    own = [span for span in spans if not span.startswith(LIBRARIES) and not PLACEHOLDER.search(span)]
    assert not {part for span in own for part in span.split(".")} - words()


def test_every_verb_and_every_variable_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    programs = [
        path.stem for path in (ROOT / "experiments").glob("[!_]*.py") if 'if __name__ == "__main__"' in path.read_text()
    ]
    assert not [verb for verb in programs if f"`./launch.sh {verb}" not in readme]
    variables = {name for path in SOURCES for name in re.findall(r"\bDLVR_\w+", path.read_text())}
    assert not [name for name in variables if name not in readme]
    mentioned = {name for document in DOCS for name in re.findall(r"\bDLVR_\w+", document.read_text())}
    assert not mentioned - variables


def test_every_data_set_is_in_its_document() -> None:
    text = (ROOT / "docs" / "data.md").read_text()
    builders = [path.stem for path in (ROOT / "dlvr_jax/data/builders").glob("*.py") if path.stem != "__init__"]
    assert builders and not [name for name in builders if f"`{name}`" not in text]


def test_the_tutorial_works(tutorial: Path) -> None:
    assert sorted(made_by_the_reader()) == ["configs/cnn/small_net_digits.py", "dlvr_jax/models/cnn/small_net.py"]
    file = tutorial / "configs/cnn/small_net_digits.py"
    for argument in ("", "tiny"):
        experiment = build(check.complete(config.load(config.Source(file, argument)), {}).flat)
        assert type(experiment.model).__name__ == "SmallNet"


def test_the_page_of_results_is_made_from_the_files() -> None:
    folder = ROOT / "docs" / "results"
    assert (ROOT / "docs" / "results.md").read_text() == page(read_all(folder), read_studies(folder / "studies"))


def test_pictures_are_small() -> None:
    assert (ROOT / "docs" / "report.png").stat().st_size < 300_000
