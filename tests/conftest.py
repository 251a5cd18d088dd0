"""What several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the tests' own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def alone(own_cache: Path) -> Iterator[None]:
    """No network, the tests' own cache, one thread. By module, because what is set for the session reaches the tests of other folders."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(own_cache))
        patch.setenv("FINECOMB_OFFLINE", "1")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
