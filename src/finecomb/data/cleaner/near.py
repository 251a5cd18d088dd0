"""Near-duplicates: candidates by MinHash and LSH, each checked by its exact Jaccard similarity, so that no row goes for a collision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.shingles import bands, candidates, curve, hashed, jaccard, signatures
from finecomb.data.cleaner.step import Batch, Decision, Step
from finecomb.data.cleaner.word_hashes import U64

SHOWN = 20  # clusters in the report
_CUT = 200


class NearDuplicates(Step):
    """Drops rows whose text is nearly that of a row that stays.

    A row goes only if its similarity to a kept row, not to a chain of others, reaches the threshold. Which row stays is decided by
    `keep`; test wins over validation, and both over train. Texts of a pair are compared as one.
    """

    whole = True
    VERSION = 2

    def __init__(self, config: schema.NearDuplicates) -> None:
        self._config = config
        self._bands = bands(config.threshold, config.permutations)
        # Of the rows kept so far, in all splits: their sets of hashes, where they stand, their texts.
        self._sets: list[U64] = []
        self._signatures: list[Any] = []
        self._names: list[tuple[str, str]] = []
        self._texts: list[str] = []
        self._clusters: dict[int, list[tuple[str, str, float]]] = defaultdict(list)
        self._checked = self._found = 0

    def decide(self, batch: Batch) -> Decision:
        """Judge a whole split against itself and the splits before it. The score is the similarity to the row that stays."""
        config = self._config
        texts = _joined(batch)
        hashes, offsets = hashed(texts, config.ngram)
        sets = [np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in range(len(texts))]
        own = signatures(hashes, offsets, config.permutations)
        known = len(self._sets)
        every = np.concatenate([np.stack(self._signatures), own]) if known else own
        partners: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for first, second in candidates(every, *self._bands).tolist():
            if second < known:
                continue
            mine = sets[second - known]
            other = self._sets[first] if first < known else sets[first - known]
            self._checked += 1
            similarity = jaccard(other, mine)
            if similarity >= config.threshold:
                self._found += 1
                partners[second].append((first, similarity))
                partners[first].append((second, similarity))
        drop, best = self._choose(batch, texts, partners, known)
        for row in range(len(texts)):
            if row not in drop:
                self._sets.append(sets[row])
                self._signatures.append(own[row])
                self._names.append((batch.split, batch.id[row]))
                self._texts.append(texts[row][:_CUT])
        return Decision(drop, scores={"similarity": best})

    def _choose(
        self, batch: Batch, texts: Sequence[str], partners: dict[int, list[tuple[int, float]]], known: int
    ) -> tuple[dict[int, str], list[float]]:
        """Rows in the order of preference; each stays unless a row that stays is near enough."""
        order = list(range(len(texts)))
        if self._config.keep == "longest":
            order.sort(key=lambda row: (-len(texts[row]), row))
        kept, drop = set(range(known)), {}
        best = [0.0] * len(texts)
        place = {}
        for row in order:
            near = [(similarity, -other) for other, similarity in partners.get(row + known, ()) if other in kept]
            if not near:
                kept.add(row + known)
                continue
            similarity, other = max(near)
            best[row], place[row] = similarity, -other
            split = self._names[-other][0] if -other < known else batch.split
            drop[row] = "near-duplicate" if split == batch.split else f"near-duplicate of a row in {split}"
        # Kept rows of this batch get their numbers in the order of their rows.
        number = {row + known: known + index for index, row in enumerate(row for row in range(len(texts)) if row not in drop)}
        for row, other in place.items():
            self._clusters[number.get(other, other)].append((batch.split, batch.id[row], best[row]))
        return drop, best

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The similarity from which rows go."""
        return {"similarity": (None, self._config.threshold)}

    def record(self) -> dict[str, Any]:
        """Largest clusters, how candidates were found, and how likely a pair of each similarity was to be one."""
        count, rows = self._bands
        largest = sorted(self._clusters, key=lambda kept: (-len(self._clusters[kept]), kept))[:SHOWN]
        return {
            "bands": count,
            "rows": rows,
            "ngram": self._config.ngram,
            "threshold": self._config.threshold,
            "curve": {f"{similarity / 20:.2f}": round(curve(similarity / 20, count, rows), 4) for similarity in range(6, 21)},
            "candidates_checked": self._checked,
            "pairs_found": self._found,
            "clusters": [
                {
                    "size": len(self._clusters[kept]) + 1,
                    "kept": {"split": self._names[kept][0], "id": self._names[kept][1], "text": self._texts[kept]},
                    "dropped": [{"split": s, "id": i, "similarity": round(v, 4)} for s, i, v in self._clusters[kept][:10]],
                }
                for kept in largest
            ],
            "cluster_count": len(self._clusters),
        }


def _joined(batch: Batch) -> list[str]:
    if batch.text_pair is None:
        return list(batch.text)
    return [f"{text}\n{pair}" for text, pair in zip(batch.text, batch.text_pair, strict=True)]
