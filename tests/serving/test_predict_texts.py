"""A finished run that writes texts: from files of one's own through the command line's functions."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from finecomb.config.compose import compose
from finecomb.data.prepare import open_prepared
from finecomb.launch.freeze import freeze
from finecomb.runs.directory import RunDirectory
from finecomb.serving.predict import predict_command
from finecomb.training import worker

WORDS = ["fine", "dull", "plot", "cast", "long", "short", "again"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A tiny decoder that was trained for a few steps."""
    folder = tmp_path_factory.mktemp("texts")
    texts = [" ".join(WORDS[(row * step) % 7] for step in range(1, 3 + row % 5)) + f" {row}" for row in range(80)]
    lines = [json.dumps({"source": text, "target": text.split()[0]}) for text in texts]
    (folder / "train.jsonl").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        job = compose(
            ["debug=tiny", "dataset=files", "dataset.files.train=train.jsonl", "dataset.label_kind=target", "model.architecture=gpt2",
             r"task.template='{source}\n{target}'", "batch.max_length=40", "batch.max_target_length=8", "batch.size=16",
             "trainer.threads=1", "trainer.precision=32-true"]
        )  # fmt: skip
        frozen = freeze(job).run
        assert worker.attempt(frozen, True, time.monotonic()) == 0, frozen.status().error
        yield frozen


def test_texts_of_the_test_split_get_the_recorded_texts(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = pyarrow.parquet.read_table(run.predictions / "test.parquet").to_pydict()
    sources = list(open_prepared(Path(run.record.inputs.data.directory)).load()["test"]["text"])
    predict_command(str(run.path), sources)
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["prediction"] for answer in answers] == recorded["prediction"]
    assert [answer["text"] for answer in answers] == sources


def test_texts_in_columns(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    predict_command(str(run.path), ["fine plot"], output="tsv")
    head, row = capsys.readouterr().out.splitlines()
    assert head.split("\t") == ["text", "prediction", "truncated"]
    assert row.startswith("fine plot\t")


def test_tables_of_a_finished_run_show_texts(run: RunDirectory) -> None:
    result = run.result() or {}
    assert result["counts"]["encoded"]["train"]["truncated_targets"] >= 0
    card = (run.artifact / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert "AutoModelForCausalLM" in card
    head = (run.predictions / "test-errors.csv").read_text().splitlines()[0]
    assert head == "id,text,label,prediction,loss"
