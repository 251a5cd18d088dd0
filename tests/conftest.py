"""What several rooms' tests share."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# Commands that tests start keep their bytecode, as a user's do: without it each compiles 150 modules of ours again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# wandb reports its own errors to a server of its makers: tests send nothing beyond this machine.
os.environ["WANDB_ERROR_REPORTING"] = "false"


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


def skip_where_the_machine_is_slow(spent: list[float]) -> None:
    """Skip a bound of CPU seconds missed while three million squares take over 0.23 s (0.19 s where the bounds were seen to hold)."""
    started = time.process_time()
    sum(number * number for number in range(3_000_000))
    if (seconds := time.process_time() - started) > 0.23:
        pytest.skip(f"this machine computes too slowly just now to judge it: {seconds:.2f} s for a loop of 0.19 s; spent {spent}")


@pytest.fixture
def slow_machine():
    return skip_where_the_machine_is_slow


@pytest.fixture
def job_settings() -> list[str]:
    """Overrides that every job of the fixture `job` has."""
    return ["dataset=files", "dataset.files.train=train.tsv", "model=tiny", "batch.size=8", "logger=none"]


@pytest.fixture
def job(tmp_path, monkeypatch, job_settings):
    """Composes a job on 40 rows, in a folder and with a cache of its own."""
    from finecomb.config.compose import compose
    from finecomb.launch import freeze

    rows = [f"text number {row}\t{['a', 'b'][row % 2]}\n" for row in range(40)]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(rows))
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    freeze.forget()
    return lambda *more, **options: compose([*job_settings, *more], **options)
