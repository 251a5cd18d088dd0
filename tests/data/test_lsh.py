"""Candidates and who stays, against plain Python that asks one row after the other."""

import random
from collections import defaultdict

import numpy as np
import pytest
from test_near_duplicates import corpus, exact

from finecomb.data.cleaner import among, lsh, shingles


def rows_of(texts, parts=1, size=128, n=5):
    step = -(-len(texts) // parts)
    found = []
    for start in range(0, len(texts), step):
        hashes, offsets = shingles.hashed(texts[start : start + step], n)
        found.append((np.ascontiguousarray(shingles.signatures(hashes, offsets, size).T), hashes, offsets))
    return lsh.Rows(found)


def one_after_the_other(rows, texts, order, threshold, count, depth, fixed):
    """The row that stays for each row, by asking each in its turn whether a row that stayed, and shares a band, is near."""
    keys, filled = [rows.keys(band, depth) for band in range(count)], rows.filled()
    stayed, owner, best = defaultdict(list), {}, {}
    for place, row in enumerate(order):
        others = {other for band in range(count) for other in stayed[band, keys[band][row]]} if filled[row] else set()
        found = [(exact(texts[row], texts[other]), -order.index(other)) for other in others]
        best[row] = max((similarity for similarity, _ in found), default=0.0)
        near = [each for each in found if each[0] >= threshold]
        if near and place >= fixed:
            owner[row] = order[-max(near)[1]]
            continue
        owner[row] = row
        for band in range(count):
            stayed[band, keys[band][row]].append(row)
    return [owner[row] for row in range(len(texts))], [best[row] for row in range(len(texts))]


@pytest.mark.parametrize(("threshold", "size", "fixed"), [(0.7, 128, 0), (0.3, 64, 0), (0.3, 64, 40)])
def test_rounds_let_the_same_rows_stay_as_asking_one_after_the_other(threshold, size, fixed):
    for seed in range(3):
        texts = [*corpus(250, seed), "", "!!", "a b", "A b"]
        rows = rows_of(texts, 1 + seed, size)
        order = list(range(len(texts)))
        random.Random(seed).shuffle(order)
        count, depth = lsh.bands(threshold, size)
        found = lsh.settle(rows, np.array(order), threshold=threshold, count=count, depth=depth, fixed=fixed)
        owner, best = one_after_the_other(rows, texts, order, threshold, count, depth, fixed)
        assert found.owner.tolist() == owner
        asked = order[fixed:]
        assert found.similarity[asked].tolist() == [best[row] for row in asked]
        assert sum(owner[row] != row for row in asked) > 40


def test_similarities_are_those_of_the_sets_whatever_parts_rows_and_batches(monkeypatch):
    texts = [*corpus(60), "", "a", "again and again and again and again and again"]
    rows = rows_of(texts, 4)
    pairs = np.array([(a, b) for a in range(len(texts)) for b in range(len(texts)) if texts[a] and texts[b]])
    whole = rows.similarities(pairs[:, 0], pairs[:, 1])
    assert whole.tolist() == [exact(texts[a], texts[b]) for a, b in pairs.tolist()]
    monkeypatch.setattr(lsh, "_HASHES", 700)
    assert np.array_equal(rows.similarities(pairs[:, 0], pairs[:, 1]), whole)


def test_thousands_of_copies_go_though_each_bucket_compares_with_few():
    texts = ["the same seven words in every text"] * 3000 + corpus(50)
    count, depth = lsh.bands(0.8, 128)
    found = lsh.settle(rows_of(texts), np.arange(len(texts)), threshold=0.8, count=count, depth=depth)
    assert (found.owner[:3000] == 0).all()
    assert found.checked < 2 * len(texts)


def test_unlike_rows_that_share_a_band_are_compared_with_a_bounded_number(monkeypatch):
    monkeypatch.setattr(lsh, "MOST", 4)
    rows = rows_of([" ".join(f"{letter}{number}" for letter in "abcdefg") for number in range(60)])
    monkeypatch.setattr(lsh.Rows, "keys", lambda self, band, depth: np.zeros(len(self), dtype=np.uint64))
    found = lsh.settle(rows, np.arange(60), threshold=1.0, count=2, depth=1)
    assert found.checked == 59 + 58 + 57 + 56
    assert (found.owner == np.arange(60)).all()
    assert len(lsh.candidates(rows, 2, 1, most=3)) == 57 * 3 + 2 + 1


def test_lookup_finds_the_candidates_that_buckets_of_all_rows_give():
    texts = corpus(200, seed=2)
    here, others = rows_of(texts[:120], 3), rows_of(texts[120:], 2)
    count, depth = lsh.bands(0.5, 128)
    first, second, similarity = lsh.Lookup(here, count, depth).near(others, 0.5)
    pairs = lsh.candidates(rows_of(texts), count, depth).tolist()
    expected = {(b - 120, a) for a, b in pairs if a < 120 <= b and exact(texts[a], texts[b]) >= 0.5}
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert len(expected) > 20
    assert similarity.min() >= 0.5


def test_components_are_named_by_their_least_row():
    assert lsh.components(6, np.array([[4, 5], [0, 3], [3, 2]])).tolist() == [0, 1, 0, 0, 4, 4]
    assert lsh.components(2, np.empty((0, 2), dtype=np.int64)).tolist() == [0, 1]


def test_hashes_are_found_among_some_and_repeats_among_all():
    draw = np.random.default_rng(0)
    every = draw.integers(0, 2**64, 5000, dtype=np.uint64)
    every[1000:1100] = every[:100]
    assert among.repeated(every).tolist() == [*range(100), *range(1000, 1100)]
    assert np.array_equal(among.Among(every[:900])(every), np.isin(every, every[:900]))
    assert not among.Among(every[:0])(every).any()
    assert len(among.Among(every)) == 4900


@pytest.mark.parametrize("at_once", [7, 1000, 1 << 20])
def test_hashes_gathered_in_files_are_looked_up_like_those_in_memory(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(among, "_GATHERED", at_once)
    monkeypatch.setattr(among, "_AT_ONCE", at_once)
    draw = np.random.default_rng(at_once)
    every = draw.integers(0, 2**64, 3000, dtype=np.uint64)
    every[:3] = 0, 2**64 - 1, 2**63
    gathered = among.Gathered(tmp_path / "long")
    for part in np.array_split(draw.permutation(np.concatenate([every[:1000], every[:500]])), 9):
        gathered.add(part)
    found = gathered.among()
    assert len(found) == 1000
    assert np.array_equal(found(every), np.isin(every, every[:1000]))
    assert not among.Gathered(tmp_path / "nothing").among()(every).any()
