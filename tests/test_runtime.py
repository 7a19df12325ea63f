"""The machine below JAX."""

import pytest

from dlvr_jax import runtime
from dlvr_jax.errors import UserError


def test_a_cache_in_a_home_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLVR_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(UserError, match="no such home directory"):
        runtime.cache_folder()
