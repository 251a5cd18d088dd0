"""One answer for each row from those of several annotators: by majority, or weighed by how each errs (Dawid & Skene 1979).

A tie is named and left open: such a row has no label, and `origin` says between what.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.annotator import label_model
from finecomb.data.spans import Span
from finecomb.labeling.agreement import Panel
from finecomb.labeling.documents import Document

METHODS = ("majority", "dawid_skene")
_MOST = 126  # categories: votes are bytes


@dataclass(frozen=True)
class Consensus:
    """A document for each row that anybody answered, in the order of the rows. ties: for each open row, its id and between what."""

    documents: list[Document]
    ties: list[tuple[str, str]]


@dataclass(frozen=True)
class _Verdict:
    """Names that were agreed on, how probable the least sure of them is, and what is tied."""

    names: tuple[str, ...]
    confidence: float
    tied: str | None = None


def consensus(panel: Panel, method: str) -> Consensus:
    """The consensus of a panel. confidence: of a majority its share of the answers, of Dawid-Skene the posterior probability.

    Raises:
        ConfigError: spans are to be weighed by Dawid-Skene, or there are too many labels.
    """
    if panel.span_labels and method != "majority":
        what = "spans have no fixed set of classes to be weighed by Dawid-Skene"
        raise ConfigError(Problem(what, f"--method {method}", "majority", "take --method majority, or label classes and spans in two runs"))
    verdicts = (_several(panel, method) if panel.several else _single(panel, method)) if panel.labels else {}
    documents, ties = [], []
    for row in panel.rows:
        said = {name: each for name in panel.annotators if (each := panel.said(name, row)) is not None}
        if not said:
            continue
        answers = list(said.values())
        spans = _majority_of_spans(answers)
        labels = verdicts.get(row, _Verdict((), 1.0))
        tied = "; ".join(each for each in (labels.tied, spans[2]) if each)
        origin = f"{method} of {len(answers)}: {', '.join(sorted(said))}"
        if tied:
            ties.append((row, tied))
            documents.append(Document(row, panel.texts[row], origin=f"tie between {tied} ({origin})"))
            continue
        confidence = min([labels.confidence] * bool(panel.labels) + [spans[1]] * bool(panel.span_labels), default=1.0)
        documents.append(Document(row, panel.texts[row], labels.names, spans[0], None, "accept", origin, round(confidence, 6)))
    return Consensus(documents, ties)


def _single(panel: Panel, method: str) -> dict[str, _Verdict]:
    ratings, names = panel.ratings()
    if len(names) > _MOST:
        raise ConfigError(Problem(f"{len(names)} labels are too many to be weighed", "labels", f"at most {_MOST}"))
    fitted = label_model.fit(ratings.astype(np.int8), len(names), method, silence=False)
    verdicts = {}
    for number, row in enumerate(panel.rows):
        if (ratings[number] < 0).all():
            continue
        shares = fitted.probabilities[number]
        best = int(shares.argmax())
        tied = None
        if fitted.tied[number]:
            tied = " and ".join(names[each] for each in np.flatnonzero(np.isclose(shares, shares[best], rtol=0, atol=1e-9)))
        verdicts[row] = _Verdict((names[best],), float(shares[best]), tied)
    return verdicts


def _several(panel: Panel, method: str) -> dict[str, _Verdict]:
    """Each label is decided by itself: given or not."""
    votes = {name: panel.votes(name) for name in panel.labels}
    fitted = {name: label_model.fit(matrix.astype(np.int8), 2, method, silence=False) for name, matrix in votes.items()}
    verdicts = {}
    for number, row in enumerate(panel.rows):
        if (votes[panel.labels[0]][number] < 0).all():
            continue
        given = {name: float(fitted[name].probabilities[number, 1]) for name in panel.labels}
        tied = [f"{name} or not" for name in panel.labels if fitted[name].tied[number]]
        names = tuple(name for name, share in given.items() if share > 0.5)
        verdicts[row] = _Verdict(names, min(max(share, 1 - share) for share in given.values()), "; ".join(tied) or None)
    return verdicts


def _majority_of_spans(answers: list[Document]) -> tuple[tuple[Span, ...], float, str | None]:
    """Spans that more than half gave, edge for edge; the least share among what was decided; spans that exactly half gave."""
    counts = Counter(span for each in answers for span in each.spans)
    shares = {span: count / len(answers) for span, count in counts.items()}
    kept = tuple(sorted(span for span, share in shares.items() if share > 0.5))
    tied = [span for span in sorted(shares) if shares[span] == 0.5]
    sure = min((max(share, 1 - share) for share in shares.values()), default=1.0)
    open_spans = ", ".join(f"the span {span.start}..{span.end} ({span.label}) or not" for span in tied)
    return kept, sure, open_spans or None
