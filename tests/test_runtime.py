"""The machine below JAX."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from dlvr_jax import runtime
from dlvr_jax.errors import UserError


def test_a_cache_in_a_home_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLVR_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(UserError, match="no such home directory"):
        runtime.cache_folder()


@pytest.mark.parametrize("platform", ["rocm", "nothing_at_all"])
def test_a_platform_that_is_not_there_is_a_clear_error(platform: str) -> None:
    command = "from dlvr_jax import runtime; runtime.start()"
    done = subprocess.run(
        [sys.executable, "-c", command], env={**os.environ, "JAX_PLATFORMS": platform}, capture_output=True, text=True
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"dlvr_jax.errors.UserError: JAX_PLATFORMS={platform}: no such device on this machine")
    assert last.endswith("; unset it, or use cpu")


def test_a_killed_process_leaves_no_half_of_a_compiled_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    monkeypatch.setenv("DLVR_CACHE", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    try:
        runtime.start()
        jax.experimental.compilation_cache.compilation_cache.reset_cache()
        with pytest.raises(KeyboardInterrupt):
            jax.jit(lambda x: x + 12345)(1)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.experimental.compilation_cache.compilation_cache.reset_cache()
    assert [path for path in (tmp_path / "compiled").rglob("*") if path.is_file()] == []


def test_what_several_gpus_send_is_on_its_way_while_they_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    program = jax.make_jaxpr(jax.numpy.sin)(1.0)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    options = runtime.compiler_options(program, several_devices=True)
    assert options and runtime.compiler_options(program) == {}
    monkeypatch.undo()
    jax.jit(jax.numpy.sin).lower(1.0).compile(options)  # an option that this version of JAX does not know is an error


LAYOUT = ("NHWC", "HWIO", "NHWC")
NEWEST = pytest.mark.skipif(
    jax.default_backend() != "cpu" or tuple(map(int, jax.__version__.split(".")[:2])) < (0, 12), reason="no such choice"
)


def convolved(shape: tuple[int, ...]):
    """A convolution inside a call, and the sum of what it gives."""
    kernel = jax.numpy.ones((3, 3, 1, 8))
    convolve = jax.jit(lambda x: jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT))
    return (lambda x: convolve(x).sum()), jax.numpy.ones(shape)


@NEWEST
def test_ynnpack_takes_large_sums_beside_convolutions_and_no_convolution() -> None:
    function, x = convolved((64, 32, 32, 1))
    options = runtime.compiler_options(jax.make_jaxpr(function)(x))
    assert options == {"xla_cpu_experimental_ynn_fusion_type": runtime.SUMS_AND_PRODUCTS}
    assert float(jax.jit(function).lower(x).compile(options)(x)) == pytest.approx(float(function(x)), rel=1e-5)
    small, few = convolved((1, 8, 8, 1))
    assert runtime.compiler_options(jax.make_jaxpr(small)(few)) == {"xla_cpu_experimental_ynn_fusion_type": ""}
    assert runtime.compiler_options(jax.make_jaxpr(jax.numpy.sum)(jax.numpy.ones(2**20))) == {}
