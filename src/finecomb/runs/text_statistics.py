"""What a generated text adds to the sums of the metrics of texts: counts of sacreBLEU, scores of rouge-score.

The metrics themselves are in `runs.sum_metrics`. The libraries are imported when texts are scored: rouge-score takes a second and a half.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from finecomb.runs.sum_metrics import CHARACTERS, PREFIX

VERSION = "1"

Counts = dict[str, float]


def statistics(texts: Sequence[str], references: Sequence[str], metrics: Iterable[str]) -> dict[str, list[float]]:
    """Columns `sum.NAME` of each text against its reference, for the metrics of these names; each column once."""
    counted = dict.fromkeys(_OF_METRIC[name] for name in metrics)
    rows = [
        {name: value for count in counted for name, value in count(text, reference).items()}
        for text, reference in zip(texts, references, strict=True)
    ]
    names = [name for count in counted for name in count("", "")]
    return {f"{PREFIX}{name}": [row[name] for row in rows] for name in names}


def signatures(metrics: Sequence[str]) -> dict[str, str]:
    """How the libraries compute metrics of these names, in their own words: sacreBLEU's signatures, and rouge-score's version."""
    from importlib.metadata import version

    known: dict[str, Callable[[], str]] = {
        "bleu": lambda: _signature(_bleu_metric()),
        "chrf": lambda: _signature(_chrf_metric()),
        **dict.fromkeys(_ROUGE, lambda: f"rouge-score {version('rouge-score')}, without stemming, F of each text, mean over texts"),
    }
    return {name: known[name]() for name in metrics if name in known}


def _signature(metric: Any) -> str:
    metric.corpus_score(["a"], [["a"]])  # the signature counts references
    return str(metric.get_signature())


@functools.cache
def _bleu_metric() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU()


@functools.cache
def _chrf_metric() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def _bleu(text: str, reference: str) -> Counts:
    score = _bleu_metric().corpus_score([text], [[reference]])
    counts = {f"bleu_{name}{order + 1}": float(values[order]) for name, values in _orders(score) for order in range(len(values))}
    return {**counts, "bleu_system": float(score.sys_len), "bleu_reference": float(score.ref_len)}


def _orders(score: Any) -> Iterator[tuple[str, Sequence[int]]]:
    yield "match", score.counts
    yield "total", score.totals


def _chrf(text: str, reference: str) -> Counts:
    """As sacreBLEU counts: what the text has counts only where the reference has n-grams of that order."""
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    counts = {}
    both = zip(*(extract_all_char_ngrams(side.rstrip(), CHARACTERS) for side in (text, reference)), strict=True)
    for order, (system, wanted) in enumerate(both, start=1):
        counts[f"chrf_system{order}"] = float(system.total() if wanted else 0)
        counts[f"chrf_reference{order}"] = float(wanted.total())
        counts[f"chrf_match{order}"] = float((system & wanted).total())
    return counts


_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@functools.cache
def _rouge_scorer() -> Any:
    # absl, which rouge-score imports, adds a handler to the root logger. It would print our log a second time, and when logging is set up
    # anew (as Hydra does) it closes its stream, unless that is the process's own.
    handlers = list(logging.root.handlers)
    from absl.logging import get_absl_handler
    from rouge_score.rouge_scorer import RougeScorer

    logging.root.handlers[:] = handlers
    get_absl_handler().python_handler.setStream(sys.__stderr__)
    return RougeScorer(list(_ROUGE), use_stemmer=False)


def _rouge(text: str, reference: str) -> Counts:
    return {name: float(score.fmeasure) for name, score in _rouge_scorer().score(reference, text).items()}


def _exact(text: str, reference: str) -> Counts:
    return {"exact_match": float(text.strip() == reference.strip())}


_OF_METRIC: dict[str, Callable[[str, str], Counts]] = {
    "bleu": _bleu, "length_ratio": _bleu, "chrf": _chrf, **dict.fromkeys(_ROUGE, _rouge), "exact_match": _exact,
}  # fmt: skip
