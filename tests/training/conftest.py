"""The helpers of the invariance suite, a cache of the tests' own, and one thread."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "invariance"))


@pytest.fixture(autouse=True, scope="module")
def _alone(alone: None) -> None:
    """No network, the tests' own cache, one thread."""


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data: 24 training, 11 validation and 13 test rows of three classes."""
    from tiny_runs import make_data

    return make_data(tmp_path_factory.mktemp("prepared") / "data")
