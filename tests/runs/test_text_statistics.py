"""Metrics of generated texts, from sums over rows, are those of sacreBLEU and rouge-score."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest
import sacrebleu

from finecomb.runs.sum_metrics import PREFIX, SUM_METRICS, scores, values
from finecomb.runs.text_statistics import signatures, statistics

METRICS = ("bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum", "length_ratio", "exact_match")
WORDS = ["the", "a", "cat", "sat", "on", ".", ",", "!", "Haus", "über", "it's", "3.5", "--", "\n", "x", "文", "字", "&amp;", "<skipped>"]
EDGES = [
    (["" ], [""]), (["", "a"], ["a b", ""]), (["a"], ["a"]), (["a b c d e"], ["a b c d e"]), (["a b"], ["c d"]), (["a b c"], ["a b c d"]),
    (["  a  b "], ["a b"]), (["A"], ["a"]), (["the cat sat on the mat"] * 3, ["the cat is on the mat"] * 3), (["!!!"], ["!"]),
]  # fmt: skip


def corpora() -> list[tuple[list[str], list[str]]]:
    """Random texts and references, some of them equal."""
    draw = random.Random(0)

    def text() -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, 12)))

    made = []
    for number in range(60):
        references = [text() for _ in range(draw.randint(1, 7))]
        made.append(([reference if number % 3 == 0 and draw.random() < 0.5 else text() for reference in references], references))
    return made


def sums(texts: list[str], references: list[str]) -> dict[str, list[float]]:
    return {**statistics(texts, references, METRICS), f"{PREFIX}generated": [1.0] * len(texts)}


@pytest.mark.parametrize(("texts", "references"), [*EDGES, *corpora()])
def test_metrics_are_those_of_the_reference_implementations(texts: list[str], references: list[str]) -> None:
    given = values(sums(texts, references), METRICS)
    bleu = sacrebleu.corpus_bleu(texts, [references])
    assert given["bleu"] == pytest.approx(bleu.score, abs=1e-6)
    assert given["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score, abs=1e-6)
    assert given["length_ratio"] == (pytest.approx(bleu.sys_len / bleu.ref_len) if bleu.ref_len else None)
    statistics(["a"], ["a"], ["rouge1"])  # imports rouge-score, and leaves the log as it was
    assert not any("absl" in type(handler).__module__ for handler in logging.root.handlers)
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    each = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        assert given[name] == pytest.approx(np.mean([score[name].fmeasure for score in each]), abs=1e-6)


def test_a_resample_of_rows_is_a_corpus_of_its_own() -> None:
    texts, references = next(corpus for corpus in corpora() if len(corpus[0]) == 7)
    columns = {name.removeprefix(PREFIX): column for name, column in sums(texts, references).items()}
    counts = np.array([[2, 0, 1, 1, 0, 3, 0], [1, 1, 1, 1, 1, 1, 1]], dtype=np.float64)
    computed = scores(counts, [columns], [SUM_METRICS["bleu"], SUM_METRICS["chrf"]])[:, 0]
    for row, drawn in enumerate(counts.astype(int).tolist()):
        chosen = [at for at, times in enumerate(drawn) for _ in range(times)]
        corpus = [texts[at] for at in chosen], [[references[at] for at in chosen]]
        assert computed[row] == pytest.approx([sacrebleu.corpus_bleu(*corpus).score, sacrebleu.corpus_chrf(*corpus).score], abs=1e-6)


def test_without_texts_every_metric_is_undefined() -> None:
    none = {name: [0.0, 0.0] for name in sums(["a", "b"], ["a", "b"])}
    assert values(none, METRICS) == dict.fromkeys(METRICS)


def test_signatures_name_the_settings_of_the_libraries() -> None:
    named = signatures(METRICS)
    assert named["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert named["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert "without stemming" in named["rougeLsum"]
