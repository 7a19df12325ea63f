"""Sweeps as actors of a Ray cluster, which is started here: a head and two nodes, on the loopback address."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dlvr_jax.config import ROOT
from dlvr_jax.errors import UserError
from dlvr_jax.sweeps.engines.ray import Ray, cores_of_each
from experiments.sweep import sweep
from tests.sweeps import tiny_sweep

SCRIPT = ROOT / "tools" / "start_ray.sh"
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray: not here")


def script(*arguments: object) -> str:
    environment = {"RAY": str(Path(sys.executable).parent / "ray")}
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), SCRIPT, *arguments]
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture
def cluster() -> Iterator[tuple[Path, str]]:
    """Its folder, whose path is short, since Ray's sockets are in it; and its address."""
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name:
        try:
            yield Path(name), script(name, 2, 1)
        finally:
            script("stop", name)


@pytest.mark.slow
@with_ray
def test_a_sweep_survives_the_loss_of_a_node(
    tmp_path: Path, cluster: tuple[Path, str], undisturbed: list[tiny_sweep.Row]
) -> None:
    nodes, address = cluster
    folder = tmp_path / "sweep"
    driver = tiny_sweep.start(folder, "--launcher", "ray", "--address", address, "--workers", 2)
    tiny_sweep.until(lambda: len(tiny_sweep.under_way(folder)) == 2, driver)
    script("kill", nodes, 1)
    tiny_sweep.finish(folder, driver)
    assert tiny_sweep.logs(folder).count("goes on from step") == 1
    assert tiny_sweep.rows(folder) == undisturbed


@pytest.mark.slow
@with_ray
def test_a_sweep_stops_and_goes_on(
    tmp_path: Path, cluster: tuple[Path, str], undisturbed: list[tiny_sweep.Row]
) -> None:
    folder = tmp_path / "sweep"
    arguments = ("--launcher", "ray", "--address", cluster[1], "--workers", 2)
    driver = tiny_sweep.start(folder, *arguments)
    tiny_sweep.until(lambda: tiny_sweep.under_way(folder), driver)
    driver.terminate()
    assert driver.wait(tiny_sweep.PATIENCE) == 128 + signal.SIGTERM
    assert "SIGTERM: saved at step" in tiny_sweep.logs(folder)
    tiny_sweep.finish(folder, tiny_sweep.start(folder, *arguments))
    assert tiny_sweep.rows(folder) == undisturbed


@with_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_does_not_answer_is_one_line(address: str) -> None:
    with pytest.raises(UserError, match=f"no cluster answers at --address {address}: "):
        Ray(address, 1)


@pytest.mark.parametrize("launcher", [(), ("--launcher", "slurm")])
def test_the_address_of_a_cluster_that_is_not_asked_for_is_not_passed_over(launcher: Sequence[str]) -> None:
    with pytest.raises(UserError, match="^--address 10.0.0.1:6379: .*give --launcher ray as well"):
        sweep(["configs/studies/e13_2_contrastive_divergence.py:tiny", "--address", "10.0.0.1:6379", *launcher])


def test_ray_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs Ray \(the extra ray\): .*pip install ray$"):
        Ray("auto", 1)


@pytest.mark.parametrize(
    ("nodes", "workers", "cores"),
    [([8.0], 3, 2), ([8.0, 8.0], 1, 8), ([4.0, 4.0, 4.0], 5, 2), ([0.0, 1.0, 1.0], 2, 1), ([2.0], 5, 1), ([], 1, 1)],
)
def test_cores_are_shared_so_that_all_run_at_once(nodes: list[float], workers: int, cores: int) -> None:
    assert cores_of_each(nodes, workers) == cores
