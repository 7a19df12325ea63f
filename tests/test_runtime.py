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
