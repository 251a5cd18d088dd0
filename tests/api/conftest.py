"""One folder with a small table and a study for all tests of the API, so that each run is trained once."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from finecomb.config import plugins

STUDY = """\
name: mine
question: Does the whole model learn more than its head?
base: [debug=tiny, dataset=files, dataset.files.train=reviews.csv]
arms: {full: tuning=full, head: tuning=head}
seeds: [7]
"""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder."""
    folder, draw = tmp_path_factory.mktemp("api"), random.Random(0)
    with (folder / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(120):
            good = draw.random() < 0.5
            writer.writerow([f"a {'good' if good else 'bad'} film, number {number}", "up" if good else "down"])
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture(autouse=True)
def _there(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared)
    monkeypatch.setenv("FINECOMB_CACHE", str(shared / "cache"))
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    monkeypatch.setattr(plugins, "_loaded", {})
