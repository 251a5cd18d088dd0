"""Language of texts, by py3langid (Lui & Baldwin 2012, retrained; its model comes with the package and nothing is fetched)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Scorer, Sketch
from finecomb.data.cleaner.word_pattern import unspaced_share

# What it is asked about: longer texts cost more and tell no more.
LONGEST = 2_000
# Texts whose language is asked before rules for one language are applied, and from which length a text can tell.
SAMPLE, ENOUGH, _TELLING = 200, 0.5, 60


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def identify(text: str) -> tuple[str, float]:
    """ISO 639-1 code of the likeliest language, and its probability."""
    code, probability = _identifier().classify(text[:LONGEST])
    return str(code), float(probability)


@dataclass
class LanguageOptions:
    """Texts in other languages go (py3langid)."""

    keep: list[str] = option("ISO 639-1 codes of the languages that stay")
    min_score: float = option("least probability of the language", low=0.0, high=1.0)


class Language(Scorer):
    """Keeps texts that are in one of the wanted languages with at least the probability given."""

    LIBRARIES = ("py3langid",)

    def __init__(self, config: LanguageOptions) -> None:
        self._wanted, self._least = set(config.keep), config.min_score

    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The likeliest language of each text and its probability."""
        found = [identify(text) for text in batch.text]
        return {"code": np.array([code for code, _ in found], dtype="<U8"), "probability": np.array([each for _, each in found])}

    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """The reason names the language found. The score is the probability of the language if it is a wanted one, else 0."""
        found = list(zip(measured["code"].tolist(), measured["probability"].tolist(), strict=True))
        drop = {}
        for row, (code, score) in enumerate(found):
            if code not in self._wanted:
                drop[row] = f"language {code}"
            elif score < self._least:
                drop[row] = "language not certain"
        return Decision(drop, scores={"language": [score if code in self._wanted else 0.0 for code, score in found]})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The least probability."""
        return {"language": (self._least, None)}


def require_language(texts: Sequence[str], language: str, what: str, where: str) -> None:
    """Raise ConfigError when most of a sample of the texts, spread evenly, are in another language than `what` was written for."""
    long = [text for text in texts if _telling(text)]
    sample = long[:: max(1, len(long) // SAMPLE)][:SAMPLE]
    _refuse_others([identify(text)[0] for text in sample], language, what, where)


def _telling(text: str) -> bool:
    """Whether a text is long enough to tell its language."""
    return len(text) >= _TELLING or unspaced_share(text) > 0.3


def _refuse_others(found: Sequence[str], language: str, what: str, where: str) -> None:
    if found and found.count(language) < ENOUGH * len(found):
        most = max(set(found), key=found.count)
        told = f"the rules of {what} were written for {language!r}; {found.count(most):,} of a sample of {len(found):,} texts are {most!r}"
        hint = "leave the step out, or say which language its rules are to be applied to by its key `language`"
        raise ConfigError(Problem(told, where, hint=hint))


class LanguageGate(CorpusStep):
    """Stands before a step whose rules were written for one language, and refuses texts that are mostly in another.

    The sample is of 200 texts, chosen by their ids; texts too short to tell are passed over.
    """

    LIBRARIES = ("py3langid",)

    def __init__(self, language: str, step: str) -> None:
        self._language, self._step = language, step

    def sketch(self, batch: Batch) -> Facts:
        """The rows of a shard that may come into the sample."""
        long = [row for row, text in enumerate(batch.text) if _telling(text)]
        order = np.array([xxhash.xxh3_64_intdigest(batch.id[row].encode()) for row in long], dtype=np.uint64)
        first = np.argsort(order, kind="stable")[:SAMPLE]
        return {"order": order[first], "row": np.array(long, dtype=np.int64)[first]}

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """Raises ConfigError when fewer than half of the sample are in the language."""
        order = np.concatenate([each.facts["order"] for each in sketches])
        rows = np.concatenate([each.facts["row"] + each.start for each in sketches])
        sample = [identify(corpus.text(int(row)))[0] for row in rows[np.argsort(order, kind="stable")][:SAMPLE]]
        _refuse_others(sample, self._language, self._step, f"cleaner.steps.{self._step}")
        return {"sample": len(sample)}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """All rows pass."""
        return Decision()


CLEANING_STEPS = {"language": (LanguageOptions, Language)}
