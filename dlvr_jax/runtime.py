"""The machine below JAX: threads, devices, caches, compiler options. Call `start` before anything touches a device."""

import contextlib
import importlib.metadata
import logging
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax._src import lru_cache
from jax.extend.core import ClosedJaxpr

from dlvr_jax.atomic_write import write_bytes
from dlvr_jax.equations import equations
from dlvr_jax.errors import UserError, said

PACKAGES = (
    "array-record",
    "jax",
    "jaxlib",
    "pillow",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "ml-collections",
    "tensorflow-datasets",
    "scikit-learn",
    "scipy",
    "sacrebleu",
    "tokenizers",
)
SUMS_AND_PRODUCTS = "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"  # for YNNPACK
LARGE_SUM = 2**19  # numbers
FLAGS = ("XLA_", "JAX_", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")  # beginnings of variables that decide bits
NO_FLAGS = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "XLA_PYTHON_CLIENT_")  # caches, and who gets memory


def cache_folder() -> Path:
    """Where data and compiled programs are kept: `DLVR_CACHE`, or `~/.cache/dlvr_jax`.

    Raises:
        UserError: there is no such home.
    """
    path = os.environ.get("DLVR_CACHE") or "~/.cache/dlvr_jax"
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise UserError(f"DLVR_CACHE={path}: there is no such home directory; set it to a folder") from None


def start(threads: int | None = None, devices: int = 1) -> None:
    """Pins the CPU threads that XLA uses, asks for CPU devices, and turns the compilation cache on.

    Args:
        threads: as a recorded run had; None takes `NPROC`, or every core at hand.
        devices: CPU devices to make when there is no accelerator.

    Raises:
        UserError: `NPROC` is no number, or `JAX_PLATFORMS` asks for devices that there are not.
    """
    os.environ["NPROC"] = str(threads or threads_at_hand())
    if devices > 1:
        with contextlib.suppress(RuntimeError):  # too late: the process has its devices already
            jax.config.update("jax_num_cpu_devices", devices)
    lru_cache.LRUCache.put = _put_whole  # type: ignore[method-assign, assignment]
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    logging.getLogger("jax._src.callback").setLevel(logging.CRITICAL)  # a callback's traceback is in the error as well
    if os.environ.get("JAX_PLATFORMS") not in (None, "", "cpu"):
        _check_platform(os.environ["JAX_PLATFORMS"])


def _check_platform(asked: str) -> None:
    """Raises UserError where JAX has no device of the platform that the user asks for."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where a plugin for the platform is missing
        why = f" ({said(error)})" if str(error) else ""
        raise UserError(f"JAX_PLATFORMS={asked}: no such device on this machine{why}; unset it, or use cpu") from None


def threads_at_hand() -> int:
    """`NPROC`, or every core that this process may use.

    Raises:
        UserError: NPROC is no number of threads.
    """
    wanted = os.environ.get("NPROC") or str(len(os.sched_getaffinity(0)))
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"NPROC={wanted}: is not a number of threads")
    return int(wanted)


def _put_whole(cache: lru_cache.LRUCache, key: str, value: bytes) -> None:
    """In the place of JAX's own, which writes in place: another process may read half an entry, and a killed one leaves
    half an entry, at which every later process warns.
    """
    path = Path(str(cache.path)) / f"{key}-cache"
    if not path.exists():
        write_bytes(path, value)


def compiler_options(program: ClosedJaxpr, runs_once: bool = False, several_devices: bool = False) -> dict[str, Any]:
    """XLA options for one program.

    On several GPUs XLA is asked to let what they send each other be on its way while they compute; not measured.

    On CPUs one that runs once is compiled fast rather than well: for each random array LLVM's last level takes a second
    more, and the numbers are the same.

    There jax 0.12 uses YNNPACK, which is up to 1.3 times slower than Eigen for the gradients of convolutions and faster
    for large sums; older versions have no such choice. oneDNN's programs cannot be kept in the compilation cache.
    """
    newest = tuple(int(part) for part in jax.__version__.split(".")[:2]) >= (0, 12)
    if jax.default_backend() != "cpu":
        hides = several_devices and jax.default_backend() == "gpu"
        return {"xla_gpu_enable_latency_hiding_scheduler": True} if hides else {}
    if runs_once:
        return {"xla_backend_optimization_level": 1}
    operations = list(equations(program))
    if not newest or all(one.primitive.name != "conv_general_dilated" for one in operations):
        return {}
    large = any(one.primitive.name == "reduce_sum" and one.invars[0].aval.size >= LARGE_SUM for one in operations)
    return {"xla_cpu_experimental_ynn_fusion_type": SUMS_AND_PRODUCTS if large else ""}


def command() -> str:
    """The verb and its arguments that this process was started with."""
    return shlex.join([Path(sys.argv[0]).stem, *sys.argv[1:]])


def environment() -> dict[str, Any]:
    """What the bits of a run depend on besides its config, and where it ran."""
    device = jax.devices()[0]
    return {
        "command": command(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "cpu": {"model": _cpu_model(), "threads": int(os.environ["NPROC"])},
        "flags": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(FLAGS) and not name.startswith(NO_FLAGS)
        },
        "git": _git(),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git() -> Mapping[str, Any]:
    """Commit of the project and whether files differ from it; {} outside a repository."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}
