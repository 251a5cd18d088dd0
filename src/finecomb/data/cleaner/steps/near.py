"""Near-duplicates: candidates by MinHash and LSH, each checked by its exact Jaccard similarity, so that no row goes for a collision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner import near_index
from finecomb.data.cleaner.lsh import Rows, Settled, bands, candidates, components, curve, parted, settle
from finecomb.data.cleaner.shingles import hashed, signatures
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch, joined_arrow
from finecomb.data.cleaner.word_hashes import I64

SHOWN = 20  # clusters in the report
SPLITS = ("test", "validation", "train")
_CUT = 200
_MEMBERS = 10
_PART = 1 << 25  # n-gram hashes for each task of the plan


@dataclass
class NearDuplicatesOptions:
    """Near-duplicates go: MinHash and LSH, every candidate checked by exact Jaccard similarity."""

    threshold: float = option("Jaccard similarity of word n-grams from which texts count as the same", low=0.05, high=1.0)
    ngram: int = option("words in an n-gram", low=1, high=50)
    permutations: int = option(
        "length of the signatures; bands are chosen so that 95 % of pairs at the threshold are found", low=8, high=1024
    )
    keep: str = option(
        "which row of a cluster stays; all: none goes, and splits are carved by cluster",
        allowed=("first", "longest", "best_score", "source_priority", "all"),
    )
    score: Optional[str] = option(
        "keep=best_score: the score of an earlier step, as step.score; the row with the highest stays", before=None
    )
    sources: list[str] = option("keep=source_priority: sources of the rows, in the order in which their rows stay", before=[])
    index: Optional[str] = option("a folder that prepare left with write_index=true: rows near to one of its rows go too", before=None)
    write_index: bool = option("prepare writes an index of the rows it delivers, for later corpora", before=False)
    max_cluster_share: float = option("warn when one cluster holds a greater share of all rows", low=0, high=1, before=0.1)


class NearDuplicates(CorpusStep):
    """Drops rows whose text is nearly that of a row that stays.

    A row goes only if its similarity to a kept row, not to a chain of others, reaches the threshold. Which row stays is decided by
    `keep`; test wins over validation, and both over train. With keep=all none goes, and a cluster is what chains of pairs connect.
    Texts of a pair are compared as one. Rows of a split that stays whole are compared with no other to be kept.
    """

    VERSION = 3
    LIBRARIES = ("rensa",)
    SKETCHED_BY = ("ngram", "permutations", "score", "sources")

    def __init__(self, config: NearDuplicatesOptions) -> None:
        self._config = config
        self._bands = bands(config.threshold, config.permutations)
        self.groups_by = "cluster" if config.keep == "all" else None
        _check(config)

    @staticmethod
    def inputs(config: NearDuplicatesOptions) -> str | None:
        """What the result depends on besides the values: the content of the index."""
        return None if config.index is None else near_index.content(Path(config.index))

    def sketch(self, batch: Batch) -> Facts:
        """Each row's signature and its n-gram hashes, and what it is preferred by."""
        texts = joined_arrow(batch)
        hashes, offsets = hashed(texts, self._config.ngram)
        return {
            "signatures": np.ascontiguousarray(signatures(hashes, offsets, self._config.permutations).T),
            "hashes": hashes,
            "offsets": offsets,
            "preference": self._preference(batch, texts),
        }

    def _preference(self, batch: Batch, texts: Any) -> Any:
        """The lower, the sooner a row stays; float64."""
        import pyarrow.compute as pc

        config = self._config
        if config.score is not None:
            if config.score not in batch.scores:
                what = f"no earlier step measures {config.score!r}"
                raise ConfigError(
                    Problem(what, "near_duplicates.score", allowed=", ".join(batch.scores), hint="a score is named step.score")
                )
            return np.nan_to_num(-batch.scores[config.score], nan=np.inf)
        if config.sources:
            if "source" not in batch.provenance:
                what = "the rows do not say what source they come from"
                raise ConfigError(Problem(what, "near_duplicates.sources", hint="keep: first, longest or best_score"))
            place = {source: number for number, source in enumerate(config.sources)}
            return np.array([place.get(source or "", len(place)) for source in batch.provenance["source"]], dtype=np.float64)
        return -pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.float64)

    def plan_parts(self, sketches: Sequence[Sketch]) -> int:
        """So many that each has some millions of n-grams to compare; with keep=all, where all pairs count, one."""
        hashes = sum(len(each.facts["hashes"]) for each in sketches)
        return 1 if self._config.keep == "all" else max(1, hashes // _PART)

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The rows of every cluster, of all splits together: which stays for each, and how alike they are."""
        return self.join([self.plan_part(sketches, 0, 1)], sketches, corpus)

    def plan_part(self, sketches: Sequence[Sketch], part: int, parts: int) -> Facts:
        """Rows that share buckets with others, by chains of these: the row that stays for each, and how alike they are."""
        config, (count, depth) = self._config, self._bands
        index = self._index()
        known = 0 if index is None else len(index.ids)
        rows = Rows(
            ([] if index is None else [index.part])
            + [(each.facts["signatures"], each.facts["hashes"], each.facts["offsets"]) for each in sketches]
        )
        if config.keep == "all":
            settled = self._clustered(rows)
            return {"rows": np.arange(len(rows)), "owner": settled.owner, "similarity": settled.similarity, "checked": settled.checked,
                    "near": settled.near}  # fmt: skip
        split = _splits(sketches)
        preference = np.concatenate([np.zeros(0), *(each.facts["preference"] for each in sketches)])
        order = np.lexsort((preference, split)) if config.keep != "first" else np.argsort(split, kind="stable")
        order = np.concatenate([np.arange(known), order + known])
        places = parted(rows, order, count, depth, part, parts) if parts > 1 else np.arange(len(order))
        # Test comes first in the order, and no other split stays whole.
        fixed = int(np.searchsorted(places, known + sum(each.rows for each in sketches if each.whole)))
        settled = settle(rows, order[places], threshold=config.threshold, count=count, depth=depth, fixed=fixed)
        own = np.sort(order[places])
        return {"rows": own, "owner": settled.owner[own], "similarity": settled.similarity[own], "checked": settled.checked,
                "near": settled.near}  # fmt: skip

    def join(self, done: Sequence[Facts], sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """Rows that are in no part stay, and are like no other."""
        index = self._index()
        known = 0 if index is None else len(index.ids)
        count = known + sum(each.rows for each in sketches)
        owner, similarity = np.arange(count), np.zeros(count)
        for part in done:
            owner[part["rows"]], similarity[part["rows"]] = part["owner"], part["similarity"]
        checked, near = (sum(part[name] for part in done) for name in ("checked", "near"))
        return self._state(Settled(owner, similarity, checked, near), known, _splits(sketches), index, corpus)

    def _index(self) -> near_index.Index | None:
        config = self._config
        return None if config.index is None else near_index.read(Path(config.index), config.ngram, config.permutations)

    def _clustered(self, rows: Rows) -> Settled:
        """No row goes: clusters are what pairs connect, so that none of them is torn apart."""
        first, second = candidates(rows, *self._bands).T
        found = rows.similarities(first, second)
        near = found >= self._config.threshold
        best = np.zeros(len(rows))
        for side in (first, second):
            np.maximum.at(best, side, found)
        return Settled(components(len(rows), np.stack([first[near], second[near]], axis=1)), best, len(found), int(near.sum()))

    def _state(self, settled: Settled, known: int, split: Any, index: near_index.Index | None, corpus: Corpus) -> Facts:
        """owner: for each row the number of the row that stays for it, its own where it stays, below 0 for one of the index."""
        owner = settled.owner[known:] - known
        members = np.flatnonzero(owner != np.arange(len(owner)))
        theirs = split[np.maximum(owner, 0)]
        elsewhere = np.where(owner < 0, len(SPLITS), np.where(theirs != split, theirs, -1)).astype(np.int8)
        state = {"owner": owner, "similarity": settled.similarity[known:], "elsewhere": elsewhere}
        return state | {"record": self._found(settled, owner, members, split, index, corpus)}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Scores: the similarity to the row that stays (for one that stays the greatest to another of them that it was compared with), and
        the number of that row, which names the cluster; numbers below 0 are rows of the index."""
        here = slice(batch.start, batch.start + len(batch))
        owner, elsewhere = state["owner"][here], state["elsewhere"][here]
        scores = {"similarity": state["similarity"][here].tolist(), "cluster": owner.tolist()}
        if self._config.keep == "all":
            return Decision(scores=scores)
        gone = np.flatnonzero(owner != np.arange(batch.start, batch.start + len(batch)))
        where = ["", *(f" of a row in {split}" for split in SPLITS), " of a row of the index"]
        drop = {row: f"near-duplicate{where[elsewhere[row] + 1]}" for row in gone.tolist()}
        return Decision(drop, scores=scores)

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The similarity from which rows go."""
        return {} if self._config.keep == "all" else {"similarity": (None, self._config.threshold)}

    def record(self, state: Facts) -> dict[str, Any]:
        """Largest clusters, how candidates were found, and how likely a pair of each similarity was to be one."""
        found: dict[str, Any] = state["record"]
        return found

    def _found(
        self, settled: Settled, owner: I64, members: I64, split: Any, index: near_index.Index | None, corpus: Corpus
    ) -> dict[str, Any]:
        heads, sizes = np.unique(owner[members], return_counts=True)
        sizes = sizes + 1
        largest = np.lexsort((heads, -sizes))[:SHOWN]
        joined: dict[int, list[int]] = defaultdict(list)
        for row in members[np.isin(owner[members], heads[largest])].tolist():
            joined[int(owner[row])].append(row)
        count, depth = self._bands
        similarity = settled.similarity[len(settled.owner) - len(owner) :]

        def shown(row: int) -> dict[str, Any]:
            return {"split": corpus.split(row), "id": corpus.id(row)}

        def cluster(head: int, size: int) -> dict[str, Any]:
            kept = {"split": "index", "id": index.ids[head].as_py(), "text": ""} if head < 0 and index is not None else shown(head)
            if head >= 0:
                kept["text"] = corpus.text(head)[:_CUT]
            dropped = [shown(row) | {"similarity": round(float(similarity[row]), 4)} for row in joined[head][:_MEMBERS]]
            return {"size": size, "kept": kept, "dropped": dropped}

        found = {
            "bands": count,
            "rows": depth,
            "ngram": self._config.ngram,
            "threshold": self._config.threshold,
            "permutations": self._config.permutations,
            "keep": self._config.keep,
            "write_index": self._config.write_index,
            "curve": {f"{part / 20:.2f}": round(curve(part / 20, count, depth), 4) for part in range(6, 21)},
            "candidates_checked": settled.checked,
            "pairs_found": settled.near,
            "clusters": [cluster(int(heads[at]), int(sizes[at])) for at in largest],
            "cluster_count": len(heads),
            "largest_share": round(float(sizes.max(initial=0)) / max(1, len(owner)), 4),
        }
        if self._config.keep == "all":
            found["clusters_in_several_splits"] = len(np.unique(owner[members[split[members] != split[owner[members]]]]))
        return found | {"warnings": self._warnings(found)}

    def _warnings(self, found: dict[str, Any]) -> list[str]:
        """What should make one look at the clusters before one believes them."""
        warnings = []
        if found["largest_share"] > self._config.max_cluster_share:
            warnings.append(
                f"the largest cluster holds {found['largest_share']:.1%} of all rows (near_duplicates.max_cluster_share="
                f"{self._config.max_cluster_share:g}): look at it in the report, and raise threshold or ngram if these rows are not copies"
            )
        if found.get("clusters_in_several_splits"):
            count = found["clusters_in_several_splits"]
            warnings.append(f"keep=all: {count:,} clusters have rows in several of the given splits")
        return warnings


def _splits(sketches: Sequence[Sketch]) -> Any:
    """The number of each row's split."""
    return np.concatenate([np.zeros(0, np.int8), *(np.full(each.rows, SPLITS.index(each.split), np.int8) for each in sketches)])


def _check(config: NearDuplicatesOptions) -> None:
    """Values that belong together."""
    if (config.keep == "best_score") != (config.score is not None):
        raise ConfigError(Problem("keep=best_score and score=STEP.SCORE belong together", "near_duplicates.score"))
    if (config.keep == "source_priority") != bool(config.sources):
        raise ConfigError(Problem("keep=source_priority and a list of sources belong together", "near_duplicates.sources"))
    if config.keep == "all" and config.index is not None:
        raise ConfigError(Problem("with keep=all no row goes, so that there is nothing to do with an index", "near_duplicates.index"))


CLEANING_STEPS = {"near_duplicates": (NearDuplicatesOptions, NearDuplicates)}
