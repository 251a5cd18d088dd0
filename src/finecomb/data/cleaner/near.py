"""Near-duplicates: candidates by MinHash and LSH, each checked by its exact Jaccard similarity, so that no row goes for a collision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.shingles import bands, candidates, curve, hashed, jaccard, signatures
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch, joined
from finecomb.data.cleaner.word_hashes import U64

SHOWN = 20  # clusters in the report
SPLITS = ("test", "validation", "train")
PLACE = {split: place for place, split in enumerate(SPLITS)}
_CUT = 200


class NearDuplicates(CorpusStep):
    """Drops rows whose text is nearly that of a row that stays.

    A row goes only if its similarity to a kept row, not to a chain of others, reaches the threshold. Which row stays is decided by
    `keep`; test wins over validation, and both over train. Texts of a pair are compared as one.
    """

    VERSION = 2
    SKETCHED_BY = ("ngram", "permutations")

    def __init__(self, config: schema.NearDuplicates) -> None:
        self._config = config
        self._bands = bands(config.threshold, config.permutations)

    def sketch(self, batch: Batch) -> Facts:
        """Each row's signature and its set of n-gram hashes, sorted; and its length in characters."""
        texts = joined(batch)
        hashes, offsets = hashed(texts, self._config.ngram)
        sets = [np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in range(len(texts))]
        return {
            "signatures": signatures(hashes, offsets, self._config.permutations),
            "hashes": np.concatenate(sets) if sets else hashes,
            "offsets": np.cumsum([0, *map(len, sets)], dtype=np.int64),
            "lengths": np.array([len(text) for text in texts], dtype=np.int64),
        }

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """Candidates of all splits together, checked; then split by split the rows that go."""
        starts = np.array([each.start for each in sketches])

        def grams(row: int) -> U64:
            each = sketches[int(np.searchsorted(starts, row, side="right")) - 1]
            at = row - each.start
            found: U64 = each.facts["hashes"][each.facts["offsets"][at] : each.facts["offsets"][at + 1]]
            return found

        pairs = candidates(np.concatenate([each.facts["signatures"] for each in sketches]), *self._bands)
        partners: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for first, second in pairs.tolist():
            similarity = jaccard(grams(first), grams(second))
            if similarity >= self._config.threshold:
                partners[second].append((first, similarity))
                partners[first].append((second, similarity))
        lengths = np.concatenate([each.facts["lengths"] for each in sketches])
        split = np.concatenate([np.full(each.rows, PLACE[each.split]) for each in sketches])
        gone = self._choose(partners, lengths, split)
        rows = np.array(sorted(gone), dtype=np.int64)
        return {
            "rows": rows,
            "kept": np.array([gone[row][0] for row in rows.tolist()], dtype=np.int64),
            "similarity": np.array([gone[row][1] for row in rows.tolist()], dtype=np.float64),
            "elsewhere": np.array([_elsewhere(split, row, gone[row][0]) for row in rows.tolist()], dtype=np.int64),
            "record": self._found(len(pairs), sum(map(len, partners.values())) // 2, gone, corpus),
        }

    def _choose(self, partners: dict[int, list[tuple[int, float]]], lengths: Any, split: Any) -> dict[int, tuple[int, float]]:
        """Row that goes -> (row that stays, similarity). Rows in order of preference; each stays unless one that stays is near enough."""
        order = sorted(partners, key=lambda row: (split[row], -lengths[row] if self._config.keep == "longest" else 0, row))
        gone: dict[int, tuple[int, float]] = {}
        kept: set[int] = set()
        for row in order:
            near = [(similarity, -other) for other, similarity in partners[row] if other in kept]
            if near:
                similarity, other = max(near)
                gone[row] = (-other, similarity)
            else:
                kept.add(row)
        return gone

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """The score is the similarity to the row that stays."""
        low, high = np.searchsorted(state["rows"], [batch.start, batch.start + len(batch)]).tolist()
        rows, elsewhere = state["rows"][low:high] - batch.start, state["elsewhere"][low:high].tolist()
        best = np.zeros(len(batch))
        best[rows] = state["similarity"][low:high]
        reasons = ["near-duplicate" if where < 0 else f"near-duplicate of a row in {SPLITS[where]}" for where in elsewhere]
        return Decision(dict(zip(rows.tolist(), reasons, strict=True)), scores={"similarity": best.tolist()})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The similarity from which rows go."""
        return {"similarity": (None, self._config.threshold)}

    def record(self, state: Facts) -> dict[str, Any]:
        """Largest clusters, how candidates were found, and how likely a pair of each similarity was to be one."""
        found: dict[str, Any] = state["record"]
        return found

    def _found(self, checked: int, pairs: int, gone: dict[int, tuple[int, float]], corpus: Corpus) -> dict[str, Any]:
        clusters: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for row, (kept, similarity) in sorted(gone.items()):
            clusters[kept].append((row, similarity))
        largest = sorted(clusters, key=lambda kept: (-len(clusters[kept]), kept))[:SHOWN]
        count, rows = self._bands
        return {
            "bands": count,
            "rows": rows,
            "ngram": self._config.ngram,
            "threshold": self._config.threshold,
            "curve": {f"{similarity / 20:.2f}": round(curve(similarity / 20, count, rows), 4) for similarity in range(6, 21)},
            "candidates_checked": checked,
            "pairs_found": pairs,
            "clusters": [
                {
                    "size": len(clusters[kept]) + 1,
                    "kept": {"split": corpus.split(kept), "id": corpus.id(kept), "text": corpus.text(kept)[:_CUT]},
                    "dropped": [
                        {"split": corpus.split(row), "id": corpus.id(row), "similarity": round(value, 4)}
                        for row, value in clusters[kept][:10]
                    ],
                }
                for kept in largest
            ],
            "cluster_count": len(clusters),
        }


def _elsewhere(split: Any, row: int, kept: int) -> int:
    """The split of the row that stays, where it is another one; -1 where it is not."""
    return int(split[kept]) if split[kept] != split[row] else -1
