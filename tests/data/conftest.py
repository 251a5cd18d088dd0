import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.data.prepare import prepare


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    return tmp_path / "cache"


@pytest.fixture
def prepared() -> Callable[..., Any]:
    """Prepare one's own files: `prepared(train=path, columns={...}, task="regression")`."""

    def run(train: Path, validation: Path | None = None, test: Path | None = None, *, task: str = "sequence_classification",
            cleaner: Any = None, **changes: Any) -> Any:  # fmt: skip
        files = {split: str(path) if path else None for split, path in (("train", train), ("validation", validation), ("test", test))}
        return prepare(make_dataset("files", files=files, **changes), cleaner or make_cleaner(), task_variant=task)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file into the test's folder: text, bytes, or rows as JSON lines."""

    def run(name: str, content: str | bytes | list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return run


@pytest.fixture
def shared() -> Path:
    """The folder of GLUE files beside the repository."""
    place = Path(os.environ.get("FINECOMB_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
    if not place.is_dir():
        pytest.skip(f"no GLUE files at {place}; FINECOMB_SHARED names another place")
    return place
