"""The hub and W&B themselves. Everywhere but in the weekly workflow these tests skip: all others use folders and patched clients."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import finecomb
from finecomb import cli
from finecomb.assets import fetch

TINY = ["model=tiny", "batch.size=8", "trainer=cpu", "trainer.threads=1", "trainer.precision=32-true", "trainer.max_steps=2"]
on_hub = pytest.mark.skipif("FINECOMB_TEST_HUB" not in os.environ, reason="asks the Hugging Face hub: set FINECOMB_TEST_HUB=1")
on_wandb = pytest.mark.skipif(
    not (os.environ.get("WANDB_API_KEY") and os.environ.get("FINECOMB_TEST_WANDB_PROJECT")),
    reason="trains with W&B online: set WANDB_API_KEY and FINECOMB_TEST_WANDB_PROJECT",
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    for name in ("FINECOMB_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def reviews() -> None:
    rows = [f"{'good' if row % 2 else 'bad'} film {row}\t{row % 2}\n" for row in range(40)]
    Path("train.tsv").write_text("text\tlabel\n" + "".join(rows))


@pytest.mark.hub
@on_hub
def test_a_data_set_of_the_hub_is_read_by_the_columns_that_are_named() -> None:
    columns = ["dataset.columns.text=text", "dataset.columns.label=label", "dataset.limit.train=50"]
    data = finecomb.prepare(finecomb.compose(["dataset=hub", "dataset.hub_id=cornell-movie-review-data/rotten_tomatoes", *columns]))
    assert len(data.to_pandas("train")) == 50
    assert data.to_pandas("train")["label"].nunique() == 2


@pytest.mark.hub
@on_hub
def test_the_hub_serves_the_weights_whose_hash_the_config_pins() -> None:
    model = finecomb.compose([]).model
    sources = [source for source in model.source if source.startswith("hub:")]
    assert sources
    assert fetch(sources, sha256=model.sha256).path.is_dir()


@pytest.mark.wandb_online
@on_wandb
def test_a_run_that_was_logged_online_is_read_back_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    reviews()
    project, group = os.environ["FINECOMB_TEST_WANDB_PROJECT"], f"weekly-{time.time():.0f}"
    logged = ["logger=wandb", "logger.mode=online", f"logger.project={project}", f"logger.group={group}"]
    assert cli.main(["train", "-m", "dataset=files", "dataset.files.train=train.tsv", "tuning=head", "seed=0,1", *TINY, *logged]) == 0
    import wandb

    capsys.readouterr()
    assert cli.main(["compare", f"wandb:{wandb.Api().default_entity}/{project}", "--group", group]) == 0
    assert "head" in capsys.readouterr().out
