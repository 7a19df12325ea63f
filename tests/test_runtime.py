"""The machine below JAX."""

import os
from pathlib import Path

import jax
import pytest

from dlvr_jax import runtime
from dlvr_jax.errors import UserError


def test_a_cache_in_a_home_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLVR_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(UserError, match="no such home directory"):
        runtime.cache_folder()


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
