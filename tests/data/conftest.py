"""Every test gets an empty cache of its own; TFDS and Pillow work on a few pictures only."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `DLVR_CACHE`."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DLVR_CACHE", str(folder))
    return folder
