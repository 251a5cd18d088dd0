"""Language of texts, by py3langid (Lui & Baldwin 2012, retrained; its model comes with the package and nothing is fetched)."""

from __future__ import annotations

import functools
from typing import Any

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import Batch, Decision, Step

# What it is asked about: longer texts cost more and tell no more.
LONGEST = 2_000


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def identify(text: str) -> tuple[str, float]:
    """ISO 639-1 code of the likeliest language, and its probability."""
    code, probability = _identifier().classify(text[:LONGEST])
    return str(code), float(probability)


class Language(Step):
    """Keeps texts that are in one of the wanted languages with at least the probability given."""

    def __init__(self, config: schema.Language) -> None:
        self._wanted, self._least = set(config.keep), config.min_score

    def decide(self, batch: Batch) -> Decision:
        """The reason names the language found. The score is the probability of the language if it is a wanted one, else 0."""
        found = [identify(text) for text in batch.text]
        scores = [score if code in self._wanted else 0.0 for code, score in found]
        drop = {}
        for row, (code, score) in enumerate(found):
            if code not in self._wanted:
                drop[row] = f"language {code}"
            elif score < self._least:
                drop[row] = "language not certain"
        return Decision(drop, scores={"language": scores})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The least probability."""
        return {"language": (self._least, None)}
