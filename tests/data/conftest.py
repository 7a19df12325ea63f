"""Every test gets an empty cache of its own; TFDS and Pillow work on a few pictures only."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `DLVR_CACHE`."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DLVR_CACHE", str(folder))
    return folder
