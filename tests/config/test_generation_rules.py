"""Settings of generation and of seq2seq that do not fit are refused before anything is imported, with the way out."""

from __future__ import annotations

import pytest

from finecomb.config.compose import compose
from finecomb.config.fingerprint import settings
from finecomb.config.schema.task import FACTS, variant
from finecomb.config.validate import validate
from finecomb.core.errors import ConfigError, problems_text

BASE = ["dataset=files", "dataset.files.train=pyproject.toml", "dataset.label_kind=target"]
DECODER = [*BASE, "model=gpt2", r"task.template='{source}\n{target}'"]


def message(*overrides: str) -> str:
    try:
        composition = compose(list(overrides))
        validate(composition.config, composition.origins)
    except ConfigError as error:
        return problems_text(error.problems)
    return ""


def test_a_dataset_of_targets_is_for_seq2seq() -> None:
    config = compose(DECODER).config
    assert (config.task.name, variant(config.task), config.loss.name) == ("seq2seq", "seq2seq template", "cross_entropy")
    assert message(*DECODER) == ""


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ([*BASE, "model=gpt2"], ["task=seq2seq needs an encoder-decoder model; gpt2 is a decoder-only model", "task.template="]),
        ([*BASE, "model=bert_base"], ["task=seq2seq needs an encoder-decoder model; bert is an encoder"]),
        ([*BASE, "model=gpt2", "task.template='{source} only'"], ["does not have {source} and, behind it, {target}", "for example"]),
        ([*BASE, "model=gpt2", "task.template='{target} {source}'"], ["does not have {source} and, behind it, {target}"]),
        ([*BASE, "model=gpt2", "task.template='{source} {source} {target}'"], ["behind it, {target}, each"]),
        ([*DECODER, "monitor.metric=bleu"], ["monitor.metric=bleu is a metric of generated texts", "evaluate.generate.every=1"]),
        ([*DECODER, "monitor.metric=bleu", "evaluate.generate.every=2"], ["not every validation generates them"]),
        (
            [*DECODER, "monitor.metric=bleu", "evaluate.generate.every=1", "evaluate.generate.examples=0"],
            ["evaluate.generate.examples", "a number of examples"],
        ),
        ([*DECODER, "evaluate.generate.do_sample=true", "evaluate.generate.num_beams=4"], ["draws one token at a time"]),
        ([*DECODER, "trainer=fsdp"], ["generates texts, which trainer.strategy=fsdp cannot"]),
        ([*DECODER, "tuning=head"], ["tuning=head cannot be used with task=seq2seq"]),
        ([*DECODER, "task=language_modeling"], ["cannot use that"]),
        (
            ["task=seq2seq", r"task.template='{source}\n{target}'", "model=gpt2"],
            ["gives one class for each text", "sequence_classification"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(overrides: list[str], parts: list[str]) -> None:
    text = message(*overrides)
    for part in parts:
        assert part in text
    assert len(text.splitlines()) < 24


def test_a_metric_of_texts_may_be_monitored_where_every_validation_has_it() -> None:
    assert message(*DECODER, "monitor.metric=bleu", "evaluate.generate.every=1") == ""


def test_runs_from_before_there_was_generation_keep_their_fingerprint() -> None:
    assert not [key for key in settings(compose([]).config) if key.startswith("evaluate.generate")]
    assert "evaluate.generate.num_beams" in settings(compose(["evaluate.generate.num_beams=4"]).config)


def test_metrics_of_texts_are_metrics_of_the_task() -> None:
    for facts in FACTS.values():
        assert set(facts.generated) <= set(facts.metrics)
        assert facts.monitor not in facts.generated
