"""A finished run answers questions as it answered those of its test split, and its artifact does so in plain transformers."""

from __future__ import annotations

import io
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from finecomb.config.compose import compose
from finecomb.core.errors import ConfigError
from finecomb.data.prepare import open_prepared
from finecomb.launch.freeze import freeze
from finecomb.runs.directory import RunDirectory
from finecomb.serving import Predictor
from finecomb.serving.predict import predict_command
from finecomb.training import worker

WORDS = "the film was good and the story of a scene in time plot acting never boring".split()  # noqa: SIM905
LENGTH, STRIDE, LONGEST = 32, 8, 6
Train = Callable[..., RunDirectory]


def questions(count: int, unanswered: bool) -> dict[str, Any]:
    draw = random.Random(0)
    paragraphs = []
    for number in range(count):
        context = " ".join(draw.choice(WORDS) for _ in range(draw.randint(4, 60))) + f" {number}."
        begin = context.index(" ") + 1
        answer = {"text": context[begin:].split()[0], "answer_start": begin}
        entries = [
            {
                "id": f"q{number}",
                "question": f"what is {context.split()[0]}?",
                "answers": [] if unanswered and number % 3 == 0 else [answer],
            }
        ]
        paragraphs.append({"context": context, "qas": entries})
    return {"version": "v2.0", "data": [{"title": f"part {at}", "paragraphs": paragraphs[at::10]} for at in range(10)]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """Trains a tiny run in this process, once for the same overrides."""
    folder = tmp_path_factory.mktemp("questions")
    for name in ("answered", "unanswered"):
        (folder / f"{name}.json").write_text(json.dumps(questions(120, name == "unanswered")))
    made: dict[tuple[str, ...], RunDirectory] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(folder / "cache"))
        patch.chdir(folder)

        def train(*overrides: str, data: str = "answered") -> RunDirectory:
            key = (data, *overrides)
            if key not in made:
                job = compose(
                    ["dataset=files", f"dataset.files.train={data}.json", "task=question_answering", "cleaner=none", "model=tiny",
                     f"task.stride={STRIDE}", f"task.max_answer_length={LONGEST}", f"batch.max_length={LENGTH}", "batch.size=16",
                     "trainer.max_epochs=1", "trainer.threads=1", "trainer.precision=32-true", "logger=none", "optimizer.lr=0.01",
                     *(["task.no_answer=true"] if data == "unanswered" else []), *overrides]
                )  # fmt: skip
                run = freeze(job).run
                assert worker.attempt(run, True, time.monotonic()) == 0, run.status().error
                made[key] = run
            return made[key]

        yield train


def recorded(run: RunDirectory) -> tuple[Any, dict[str, list[Any]]]:
    return (
        open_prepared(Path(run.record.inputs.data.directory)).load()["test"],
        parquet.read_table(run.predictions / "test.parquet").to_pydict(),
    )


def pipeline_answer(model: Any, tokenizer: Any, question: str, context: str, *, impossible: bool) -> dict[str, Any]:
    """What pipeline("question-answering") of transformers 4 answers (version 5 has none), with align_to_words=False."""
    encoded = tokenizer(
        question, context, truncation="only_second", max_length=LENGTH, stride=STRIDE, return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )  # fmt: skip
    answers, null = [], 1e6
    for window, ids in enumerate(encoded["input_ids"]):
        inputs = {name: torch.tensor([encoded[name][window]]) for name in tokenizer.model_input_names}
        with torch.no_grad():
            given = model(**inputs)
        allowed = np.array([part == 1 for part in encoded.sequence_ids(window)]) | (np.array(ids) == tokenizer.cls_token_id)
        start, end = (np.where(allowed, logits[0].numpy(), -10000.0) for logits in (given.start_logits, given.end_logits))
        start, end = (np.exp(each - each.max()) / np.exp(each - each.max()).sum() for each in (start, end))
        null = min(null, float(start[0] * end[0]))
        start[0] = end[0] = 0.0
        candidates = np.tril(np.triu(np.outer(start, end)), LONGEST - 1)
        first, last = np.unravel_index(candidates.argmax(), candidates.shape)
        span = encoded["offset_mapping"][window][first][0], encoded["offset_mapping"][window][last][1]
        answers.append({"score": float(candidates[first, last]), "start": span[0], "end": span[1], "answer": context[span[0] : span[1]]})
    if impossible:
        answers.append({"score": null, "start": 0, "end": 0, "answer": ""})
    return max(answers, key=lambda answer: answer["score"])


def in_plain_transformers(run: RunDirectory) -> tuple[Any, Any]:
    if (run.artifact / "adapter_config.json").exists():
        base = AutoModelForQuestionAnswering.from_pretrained(run.artifact / "base")
        model = PeftModel.from_pretrained(base, str(run.artifact)).get_base_model()
    else:
        model = AutoModelForQuestionAnswering.from_pretrained(run.artifact)
    return model.eval(), AutoTokenizer.from_pretrained(run.artifact)


@pytest.mark.parametrize("tuning", ["full", "head", "lora"])
def test_an_artifact_answers_in_plain_transformers_as_the_run_did(trained: Train, tuning: str) -> None:
    run = trained(f"tuning={tuning}")
    data, columns = recorded(run)
    model, tokenizer = in_plain_transformers(run)
    windows = 0
    for row, question in enumerate(data["text"]):
        answer = pipeline_answer(model, tokenizer, question, data[row]["text_pair"], impossible=False)
        assert (answer["answer"], answer["start"], answer["end"]) == (
            columns["prediction"][row],
            columns["start"][row],
            columns["end"][row],
        )
        assert answer["score"] == pytest.approx(np.exp(columns["score"][row]), rel=1e-4)
        windows += len(tokenizer(data[row]["text_pair"])["input_ids"]) > LENGTH
    assert windows > 2


def test_with_a_threshold_of_zero_no_answer_is_given_where_the_pipeline_gives_none(trained: Train) -> None:
    run = trained(data="unanswered")
    predictor = Predictor(run)
    predictor._task.chosen = {"no_answer_threshold": 0.0}  # type: ignore[attr-defined]
    data, _ = recorded(run)
    model, tokenizer = in_plain_transformers(run)
    answers = predictor(list(data["text"]), list(data["text_pair"]))
    for answer, question, context in zip(answers, data["text"], data["text_pair"], strict=True):
        expected = pipeline_answer(model, tokenizer, question, context, impossible=True)
        assert {name: answer[name] for name in ("answer", "start", "end")} == {name: expected[name] for name in ("answer", "start", "end")}
        assert answer["score"] == pytest.approx(expected["score"], rel=1e-4)


@pytest.mark.parametrize("data", ["answered", "unanswered"])
def test_questions_of_the_test_split_get_the_recorded_answers(trained: Train, data: str) -> None:
    run = trained(data=data)
    rows, columns = recorded(run)
    answers = Predictor(run)(list(rows["text"]), list(rows["text_pair"]))
    assert [answer["answer"] for answer in answers] == columns["prediction"]
    for answer, context in zip(answers, rows["text_pair"], strict=True):
        assert context[answer["start"] : answer["end"]] == answer["answer"]
    assert columns["label"] == [json.loads(label)["text"] for label in rows["label"]]


def test_the_threshold_is_chosen_on_validation_and_kept_with_the_result_and_the_artifact(trained: Train) -> None:
    run = trained(data="unanswered")
    chosen = (run.result() or {})["selection"]["chosen"]
    assert json.loads((run.artifact / "finecomb.json").read_text())["task"]["chosen"] == chosen
    validation, test = (parquet.read_table(run.predictions / f"{split}.parquet").to_pydict() for split in ("validation", "test"))
    for columns in (validation, test):
        empty = [
            none - score > chosen["no_answer_threshold"] for none, score in zip(columns["no_answer_score"], columns["score"], strict=True)
        ]
        assert [not prediction for prediction in columns["prediction"]] == empty
    assert "no_answer_threshold" in (run.artifact / "README.md").read_text()
    assert "chosen" not in (trained().result() or {})["selection"]


def test_the_card_and_the_tables_are_those_of_questions(trained: Train) -> None:
    run = trained()
    card = (run.artifact / "README.md").read_text()
    assert "pipeline_tag: question-answering" in card
    assert "AutoModelForQuestionAnswering" in card
    assert "Labels" not in card
    header, first, *_ = (run.predictions / "test-errors.csv").read_text().splitlines()
    assert header == "id,text,text_pair,label,prediction,loss"
    assert first


def test_the_command_takes_flags_json_lines_and_files(
    trained: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = str(trained().path)
    pair = {"question": "what is good?", "context": "the plot\nwas good"}
    predict_command(run, [pair["question"]], pairs=[pair["context"]])
    expected = capsys.readouterr().out
    answer = json.loads(expected)
    assert list(answer) == ["text", "text_pair", "answer", "start", "end", "score", "truncated"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(pair) + "\n"))
    predict_command(run)
    assert capsys.readouterr().out == expected
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps(pair) + "\n")
    predict_command(run, file=str(file))
    assert capsys.readouterr().out == expected
    nested = tmp_path / "questions.json"
    entries = [{"id": "1", "question": pair["question"], "answers": []}]
    nested.write_text(json.dumps({"data": [{"title": "", "paragraphs": [{"context": pair["context"], "qas": entries}]}]}))
    predict_command(run, file=str(nested))
    assert capsys.readouterr().out == expected
    predict_command(run, [pair["question"]], pairs=[pair["context"]], output="tsv")
    assert capsys.readouterr().out.splitlines()[0].split("\t") == list(answer)


def test_a_question_without_a_context_is_refused_with_a_hint(trained: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    run = str(trained().path)
    with pytest.raises(ConfigError) as error:
        predict_command(run, ["what is good?"])
    assert "--context" in error.value.problems[0].hint
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"question": "what?"}\n'))
    with pytest.raises(ConfigError, match="standard input, line 1") as error:
        predict_command(run)
    assert '{"question": "...", "context": "..."}' in error.value.problems[0].hint
