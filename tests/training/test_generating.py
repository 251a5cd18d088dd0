"""Texts that are generated in evaluation: in a run, by ranks, in batches of any size, and by the artifact in plain transformers."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from harness import parts_of
from task_cells import cells, config_of, data_of, overrides_of
from tiny_runs import make_run
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from finecomb.core.errors import ConfigError
from finecomb.runs.directory import RunDirectory
from finecomb.serving.predictor import Predictor
from finecomb.training import generating, worker
from finecomb.training.batching import evaluation_batches
from finecomb.training.datamodule import EvaluationLoader
from finecomb.training.evaluate import evaluate

CPU = torch.device("cpu")
CELL = cells()["seq2seq_template"]


def run_of(folder: Path, *overrides: str, tuning: str = "full", name: str = "run") -> RunDirectory:
    """A finished run of the cell's data."""
    given = [*overrides_of("seq2seq_template", CELL, tuning, CELL.architecture), "trainer.max_epochs=2", "optimizer.lr=0.01", *overrides]
    run = make_run(folder / "runs", data_of(folder, "seq2seq_template", CELL), *given, name=name)
    assert worker.attempt(run, first=True, started=0.0) == 0
    return run


def sources_of_test() -> list[str]:
    return CELL.rows("test", 9, random.Random("seq2seq_template test")).text


def predictions(run: RunDirectory, split: str = "test") -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pyarrow.parquet.read_table(run.predictions / f"{split}.parquet").to_pydict()
    return columns


def test_a_run_keeps_its_texts_beside_references_and_their_metrics(tmp_path: Path) -> None:
    run = run_of(tmp_path, "evaluate.generate.every=2", "monitor.metric=loss")
    result = run.result() or {}
    for name in ("bleu", "chrf", "rouge1", "rouge2", "rougeLsum", "length_ratio", "perplexity", "token_accuracy"):
        assert f"test/{name}" in result["metrics"], name
    assert result["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    lines = [line for line in run.metrics() if "validation/loss" in line]
    assert ["validation/bleu" in line for line in lines] == [False, True]
    files = sorted(path.name for path in (run.predictions / "samples").glob("generated-*.csv"))
    assert files == ["generated-step-000006.csv"]
    with (run.predictions / "samples" / files[0]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"validation-{number}" for number in range(7)]
    assert all(row["reference"] for row in rows)
    table = predictions(run)
    assert all(isinstance(text, str) for text in table["prediction"])
    assert table["sum.generated"] == [1.0] * 9


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_plain_transformers_generate_the_recorded_texts(tuning: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, "evaluate.generate.num_beams=3", "evaluate.generate.no_repeat_ngram_size=2", tuning=tuning)
    table, folder = predictions(run), str(run.artifact)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    stored = json.loads((run.artifact / "generation_config.json").read_text())
    assert (stored["num_beams"], stored["no_repeat_ngram_size"], stored["max_new_tokens"]) == (3, 2, 6)
    sources = sources_of_test()
    for source, expected in zip(sources, table["prediction"], strict=True):
        ids = tokenizer(f"story {source} plot ", return_tensors="pt")["input_ids"]
        written = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids))[0, ids.shape[1] :]
        assert tokenizer.decode(written, skip_special_tokens=True).strip() == expected
    answers = Predictor(run)(sources)
    assert [answer["prediction"] for answer in answers] == table["prediction"]


@pytest.mark.parametrize(("architecture", "tuning"), [("bart", "full"), ("t5", "lora"), ("marian", "full")])
def test_encoder_decoders_are_read_by_plain_transformers(architecture: str, tuning: str, tmp_path: Path) -> None:
    cell = cells()["seq2seq"]
    given = [*overrides_of("seq2seq", cell, tuning, architecture), "trainer.max_epochs=1", "evaluate.generate.num_beams=2"]
    run = make_run(tmp_path / "runs", data_of(tmp_path, "seq2seq", cell), *given, "optimizer.lr=0.01")
    assert worker.attempt(run, first=True, started=0.0) == 0
    table, folder = predictions(run), str(run.artifact)
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    sources = cell.rows("test", 9, random.Random("seq2seq test")).text
    for source, expected in zip(sources, table["prediction"], strict=True):
        encoded = tokenizer(source, return_tensors="pt")
        written = model.generate(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])[0]
        assert tokenizer.decode(written, skip_special_tokens=True).strip() == expected
    assert [answer["prediction"] for answer in Predictor(run)(sources)] == table["prediction"]
    assert "pipeline_tag: text2text-generation" in (run.artifact / "README.md").read_text()


def test_a_prompt_tuned_run_predicts_its_recorded_texts(tmp_path: Path) -> None:
    run = run_of(tmp_path, tuning="prompt")
    sources = sources_of_test()
    assert [answer["prediction"] for answer in Predictor(run)(sources)] == predictions(run)["prediction"]


def test_only_the_first_examples_have_texts_and_metrics_are_of_these(tmp_path: Path) -> None:
    every = predictions(run_of(tmp_path, name="every"))
    first = run_of(tmp_path, "evaluate.generate.examples=4", name="first")
    table = predictions(first)
    assert table["prediction"] == [*every["prediction"][:4], *[None] * 5]
    assert table["sum.generated"] == [1.0] * 4 + [0.0] * 5
    metrics = (first.result() or {})["metrics"]
    assert metrics["test/rouge1"] == pytest.approx(sum(every["sum.rouge1"][:4]) / 4)


def test_without_generation_there_are_no_metrics_of_texts(tmp_path: Path) -> None:
    run = run_of(tmp_path, "evaluate.generate.examples=0")
    result = run.result() or {}
    assert "test/bleu" not in result["metrics"]
    assert set(predictions(run)["prediction"]) == {None}
    assert Predictor(run)(["the film"])[0]["prediction"] is not None


def test_texts_depend_neither_on_the_batch_size_nor_on_ranks(tmp_path: Path) -> None:
    parts = parts_of(config_of(tmp_path, "seq2seq_template", CELL, "full", CELL.architecture))
    made = generating.build(parts.tuned, parts.task, parts.config)
    assert made is not None
    split = parts.data.splits["test"]
    outcomes = [
        evaluate(parts.tuned, parts.task, parts.loss, EvaluationLoader(split, size), device=CPU, generation=made) for size in (1, 4, 64)
    ]
    texts = [outcome.generated.texts for outcome in outcomes if outcome.generated]
    assert texts[0] == texts[1] == texts[2]
    assert outcomes[0].metrics == pytest.approx(outcomes[2].metrics)
    shares = [evaluation_batches(split.encoded.lengths, 2, rank=rank, world=2) for rank in range(2)]
    rows = sorted(int(row) for share in shares for batch in share for row in batch)
    assert rows == list(range(len(split)))


def test_a_model_without_room_for_texts_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, "seq2seq_template", CELL, "full", CELL.architecture, "evaluate.generate.max_new_tokens=100")
    parts = parts_of(config)
    with pytest.raises(ConfigError, match="100 new tokens after a prompt of up to 128 in a model with 192 positions"):
        parts.module()
