"""One thread, a cache of the tests' own, and data that is prepared once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="module")
def _alone(alone: None) -> None:
    """No network, the tests' own cache, one thread."""


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where prepared data is kept for the session."""
    return tmp_path_factory.mktemp("prepared")
