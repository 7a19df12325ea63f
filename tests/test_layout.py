"""The house from the roof down: every import points down, and each heavy library has one user."""

import ast
import re
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# A module may import what stands on its own floor or below. `configs` stands apart.
FLOORS = (
    ("experiments",),
    ("dlvr_jax.sweeps",),
    ("dlvr_jax.benchmarks",),
    (
        "dlvr_jax.loaded",
        "dlvr_jax.launch",
        "dlvr_jax.beginning",
        "dlvr_jax.choose_form",
        "dlvr_jax.members",
        "dlvr_jax.extract",
        "dlvr_jax.finish",
        "dlvr_jax.recorded",
        "dlvr_jax.compare",
        "dlvr_jax.side_by_side",
        "dlvr_jax.killing",
    ),
    ("dlvr_jax.training_process",),
    ("dlvr_jax.build",),
    ("dlvr_jax.check",),
    ("dlvr_jax.cross_check",),
    ("dlvr_jax.training",),
    ("dlvr_jax.tasks",),
    ("dlvr_jax.reporting",),
    ("dlvr_jax.models",),
    ("dlvr_jax.data",),
    (
        "dlvr_jax.run",
        "dlvr_jax.guarantee",
        "dlvr_jax.processes",
        "dlvr_jax.runtime",
        "dlvr_jax.config",
        "dlvr_jax.sections",
        "dlvr_jax.displays",
    ),
    ("dlvr_jax.layers",),
    ("dlvr_jax.metrics",),
    (
        "dlvr_jax.schema",
        "dlvr_jax.atomic_write",
        "dlvr_jax.equations",
        "dlvr_jax.errors",
        "dlvr_jax.global_norm",
        "dlvr_jax.random_key",
    ),
)
ONLY_USERS = {
    "orbax": ("dlvr_jax.training.checkpoint",),
    "flax.linen": ("dlvr_jax.models", "dlvr_jax.layers"),
    "tensorflow_datasets": ("dlvr_jax.data",),
    "matplotlib": ("dlvr_jax.reporting",),
    "tensorboardX": ("dlvr_jax.reporting",),
}
HEAVY = ("matplotlib", "sklearn", "optuna", "tensorflow_datasets", "orbax", "tensorboardX", "PIL")
FILES = sorted(path for folder in ("dlvr_jax", "experiments", "configs") for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> set[str]:
    """Every module that is imported anywhere below a node."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(module: str) -> int | None:
    for number, names in enumerate(FLOORS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return number
    return None


def is_in(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def module_of(name: str, known: Collection[str]) -> str | None:
    """The module that holds what is imported, or is it."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def test_every_name_of_a_floor_is_there() -> None:
    assert not [name for names in FLOORS for name in names if find_spec(name) is None]


def test_no_import_leads_back_to_where_it_began() -> None:
    found = {name_of(path): imports(ast.parse(path.read_text())) for path in FILES}
    graph = {module: {module_of(name, found) for name in names} - {None} for module, names in found.items()}
    done = set()

    def follow(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for name in sorted(graph[module]):
                follow(name, (*way, module))
            done.add(module)

    for module in graph:
        follow(module, ())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    module, found = name_of(path), imports(ast.parse(path.read_text()))
    own = {name for name in found if is_in(name, ("dlvr_jax", "experiments", "configs"))}
    if module.startswith("configs"):
        assert all(is_in(name, ("configs", "ml_collections")) for name in found)
        return
    if module == "dlvr_jax":  # `dlvr_jax.load` alone, imported when it is called
        return
    assert floor(module) is not None, f"{module} has no floor"
    assert not [name for name in own if floor(name) is None or floor(name) < floor(module)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_library_that_may_be_replaced_has_one_user(path: Path) -> None:
    module, found = name_of(path), imports(ast.parse(path.read_text()))
    for library, users in ONLY_USERS.items():
        assert is_in(module, users) or not [name for name in found if is_in(name, (library,))], library


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    tree = ast.parse(path.read_text())
    top = imports(ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []))
    assert not [name for name in top if is_in(name, HEAVY)]


def test_random_keys_begin_in_one_place() -> None:
    begins = [name_of(path) for path in FILES if re.search(r"random\.(key|PRNGKey)\(", path.read_text())]
    assert begins == ["dlvr_jax.random_key"]


@pytest.mark.parametrize(
    ("layer", "where"),
    {"Conv": ["convolution.py"], "Dense": ["dense.py"], "BatchNorm": [], "LayerNorm": ["wgan_gp.py"]}.items(),
)
def test_layers_are_those_that_are_quick_on_cpus(layer: str, where: list[str]) -> None:
    """Layer norm of whole pictures, in WGAN-GP, is Flax's."""
    code = [path for path in FILES if path.is_relative_to(ROOT / "dlvr_jax") and "peers" not in path.parts]
    found = [path.name for path in code if re.search(rf"nn\.{layer}\b", path.read_text(encoding="utf-8"))]
    assert found == where


def test_the_loop_knows_no_family() -> None:
    for path in (ROOT / "dlvr_jax" / "training").glob("*.py"):
        found = imports(ast.parse(path.read_text()))
        assert not [name for name in found if is_in(name, ("dlvr_jax.models", "configs"))], path
        tasks = [name for name in found if is_in(name, ("dlvr_jax.tasks",))]
        assert all(is_in(name, ("dlvr_jax.tasks.task", "dlvr_jax.tasks.from_loss")) for name in tasks), path


def without_prose(source: str) -> str:
    """Code without docstrings and comments, in small letters."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None
    return ast.unparse(tree).lower()


def test_the_loop_says_the_name_of_no_family_and_of_no_task() -> None:
    """Neither as a name nor in a text: `if name == "gan.GAN"` and `isinstance(task, LanguageModel)` would be found."""
    own = {"__init__", "__pycache__", "task", "from_loss"}
    families = {path.name for path in (ROOT / "dlvr_jax" / "models").iterdir() if path.is_dir()} - own
    tasks = {path.stem for path in (ROOT / "dlvr_jax" / "tasks").glob("*.py")} - own
    assert {"gan", "transformer", "language_model"} <= families | tasks
    names = {name.replace("_", "_?") for name in families | tasks}
    said = re.compile(rf"(?<![a-z])({'|'.join(sorted(names))})(?![a-z])")
    assert said.search(without_prose("task is LanguageModel")) and said.search(without_prose("x = 'gan.GAN'"))
    for path in (ROOT / "dlvr_jax" / "training").glob("*.py"):
        assert not said.findall(without_prose(path.read_text(encoding="utf-8"))), path


def test_package_files_are_empty() -> None:
    assert not [
        path for path in FILES if path.name == "__init__.py" and path.parent.name != "dlvr_jax" and path.read_text()
    ]
