"""Near-duplicates against the exact answer: what is found, what is not, which row stays."""

import dataclasses
import functools
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from data_configs import clean

from finecomb.config.schema.cleaner import Cleaner
from finecomb.core.errors import ConfigError
from finecomb.data import cleaner
from finecomb.data.cleaner import lsh, near_index, shingles, word_hashes
from finecomb.data.cleaner.step import Batch, Sketch
from finecomb.data.cleaner.steps.near import NearDuplicates, NearDuplicatesOptions
from finecomb.data.cleaner.word_pattern import words
from finecomb.data.dataset.rows import Rows
from finecomb.data.texts import Texts

VALUES = {"threshold": 0.7, "ngram": 5, "permutations": 128, "keep": "first"}


def rows(texts):
    return Rows([str(n) for n in range(len(texts))], list(texts), None, ["x"] * len(texts), None, range(1, len(texts) + 1), "file")


def run(splits, **values):
    given = splits if isinstance(splits, dict) else {"train": rows(splits)}
    return clean(cleaner.build(Cleaner("own", {"near_duplicates": VALUES | values}, False)), given)


@functools.cache
def grams(text, n=5):
    found = words(text.lower())
    return {tuple(found[start : start + n]) for start in range(len(found) - n + 1)} or ({tuple(found)} if found else set())


def exact(first, second, n=5):
    one, two = grams(first, n), grams(second, n)
    return len(one & two) / len(one | two) if one | two else 1.0


def corpus(count=400, seed=0):
    """Texts of 60 to 120 words; every second one is an edited copy of an earlier text, edited more or less."""
    draw = random.Random(seed)
    vocabulary = [f"w{n}" for n in range(3000)]
    texts = []
    for number in range(count):
        if number % 2 and texts:
            found = draw.choice(texts).split()
            for _ in range(draw.choice([0, 1, 2, 3, 6, 10])):
                found[draw.randrange(len(found))] = draw.choice(vocabulary)
        else:
            found = draw.choices(vocabulary, k=draw.randint(60, 120))
        texts.append(" ".join(found))
    return texts


@pytest.mark.parametrize("n", [1, 2, 5])
def test_hashes_of_ngrams_are_equal_exactly_where_the_ngrams_are(n):
    texts = [
        "One two, three four FIVE six",
        "one two three four five six",
        "zero one two three four five six",
        "",
        "一二三四五六七",
        "naïve été, one",
    ]
    texts += ["three four five", "...", "two" + " x" * 300]
    hashes, offsets = shingles.hashed(texts, n)
    sets = [set(hashes[offsets[row] : offsets[row + 1]].tolist()) for row in range(len(texts))]
    for row, text in enumerate(texts):
        assert len(sets[row]) == len(grams(text, n)), text
        for other in range(row):
            assert len(sets[row] & sets[other]) == len(grams(text, n) & grams(texts[other], n))


def sequence(text, n):
    found = words(text.lower())
    return [tuple(found[start : start + n]) for start in range(len(found) - n + 1)] or ([tuple(found)] if found else [])


def many_scripts():
    """Texts with capitals whose small letters differ in length or by what follows, in scripts without spaces, with signs."""
    draw = random.Random(4)
    few = [*"aBzZ_9  \n-.éÉßẞΣσςİıÅЖж中文ไทั字かカ½²Ⅳⅳאب٣ǅǄﬁȺⱥ“’ÿŸ", "\u212a", "\uff8a", "\u00a0", "\u0301", "\u200d", "\0", "\x7f"]
    few += ["\U00020000", "\U0001f600", "\U0001d400", "\U00010400", "\U00010428", "word", "Another"]
    texts = ["".join(draw.choices(few, k=draw.randint(0, 50))) for _ in range(4000)]
    every = [chr(code) for code in range(1, 0x32000) if not 0xD800 <= code < 0xE000]
    texts += ["".join(draw.choices(every, k=30)) for _ in range(400)] + [f"a{sign}B {sign}" for sign in every[::11]]
    return texts + [f"{'xé'[kind] * size} {'XÉ'[kind] * size}y" for kind in (0, 1) for size in range(70)]


@pytest.mark.parametrize("n", [1, 3])
def test_hashes_follow_the_ngrams_of_plain_python_one_by_one_in_every_script(n):
    texts = many_scripts()
    hashes, offsets = shingles.hashed(texts, n)
    of_gram, of_hash = {}, {}
    for row, text in enumerate(texts):
        found = hashes[offsets[row] : offsets[row + 1]].tolist()
        expected = sequence(text, n)
        assert len(found) == len(expected), text
        for gram, value in zip(expected, found, strict=True):
            assert of_gram.setdefault(gram, value) == value, (text, gram)
            assert of_hash.setdefault(value, gram) == gram, (text, gram)
    assert len(of_gram) > 20_000


def test_no_character_beyond_the_tables_is_of_a_word_or_has_a_small_letter():
    assert not any(chr(code).isalnum() or chr(code).lower() != chr(code) or words(chr(code)) for code in range(0x40000, 0x110000))


def test_arrow_arrays_hash_like_strings_whatever_their_type_offset_and_chunks():
    texts = ["", *corpus(50), "É ist É", "", "z"]
    whole, offsets = shingles.hashed(texts, 3)
    array = pa.array(["before", *texts, "after"])
    cut = array.slice(1, len(texts))
    pieces = pa.chunked_array([cut.slice(0, 7), cut.slice(7)]).cast(pa.large_string())
    for given in (cut, cut.cast(pa.large_string()), pieces, pa.array(texts, pa.string_view())):
        found, same = shingles.hashed(given, 3)
        assert np.array_equal(whole, found)
        assert np.array_equal(offsets, same)
    assert shingles.hashed(pa.array(["a", None], pa.string()), 3)[1].tolist() == [0, 1, 1]
    assert shingles.hashed([], 3)[1].tolist() == [0]


def test_a_text_larger_than_one_piece_hashes_like_its_words(monkeypatch):
    text = "wörd Σίσυφος the quick_brown fox " * 300 + "x" * 3000
    hashes, _ = shingles.hashed([text], 2)
    monkeypatch.setattr(word_hashes, "_PIECE", 700)
    assert np.array_equal(shingles.hashed([text], 2)[0], hashes)
    assert len(set(hashes.tolist())) == len(set(sequence(text, 2)))


def test_sets_are_sorted_without_repeats():
    texts = [*corpus(40), "", "again and again and again and again", ""]
    hashes, offsets = shingles.hashed(texts, 2)
    found, left = shingles.sets(hashes.copy(), np.diff(offsets))
    bounds = np.concatenate([[0], np.cumsum(left)])
    for row in range(len(texts)):
        assert found[bounds[row] : bounds[row + 1]].tolist() == sorted(set(hashes[offsets[row] : offsets[row + 1]].tolist()))


def test_batches_of_any_size_hash_alike(monkeypatch):
    texts = corpus(60)
    whole, offsets = shingles.hashed(texts, 5)
    monkeypatch.setattr(shingles, "_CHUNK", 500)
    parts, same = shingles.hashed(texts, 5)
    assert np.array_equal(whole, parts)
    assert np.array_equal(offsets, same)


def test_signatures_estimate_the_jaccard_similarity_without_bias():
    texts = corpus(300)
    hashes, offsets = shingles.hashed(texts, 5)
    pairs = [(a, b) for a in range(300) for b in range(a) if 0.05 < exact(texts[a], texts[b]) < 0.999]
    assert len(pairs) > 150
    errors = []
    for seed in range(8):  # the maps are shared by all texts, so that one draw of them errs alike for many pairs
        found = shingles.signatures(hashes, offsets, 128, seed)
        errors += [float((found[a] == found[b]).mean()) - exact(texts[a], texts[b]) for a, b in pairs]
    assert abs(np.mean(errors)) < 0.01
    assert np.sqrt(np.mean(np.square(errors))) < 0.044  # sqrt(J (1 - J) / 128) is at most 0.044


def test_bands_find_pairs_at_the_threshold_and_the_curve_says_how_likely():
    assert lsh.bands(0.8, 128) == (14, 9) or lsh.curve(0.8, *lsh.bands(0.8, 128)) >= 0.95
    assert lsh.curve(0.8, 14, 8) == pytest.approx(0.9236, abs=1e-3)  # FineWeb's
    assert lsh.curve(0.5, 32, 8) == pytest.approx(0.118, abs=1e-3)  # Data-Juicer's


def test_what_goes_is_near_what_stays_and_nothing_near_stays_but_for_the_curve():
    texts = corpus(400, seed=3)
    cleaned = run(texts)
    kept = {int(name) for name in cleaned.splits["train"].id}
    dropped = [int(row["id"]) for row in cleaned.gone]
    assert len(dropped) > 70
    for row in dropped:
        assert max(exact(texts[row], texts[other]) for other in kept) >= 0.7
    missed = [(a, b) for a in kept for b in kept if b < a and exact(texts[a], texts[b]) >= 0.7]
    pairs = [(a, b) for a in range(400) for b in range(a) if exact(texts[a], texts[b]) >= 0.7]
    assert len(missed) <= 0.05 * len(pairs)
    record = cleaned.records["near_duplicates"]
    assert record["pairs_found"] <= record["candidates_checked"]
    assert record["curve"]["0.70"] >= 0.95


def test_a_chain_of_small_changes_does_not_take_its_end_along():
    base = [f"w{n}" for n in range(100)]
    chain = [" ".join([*(f"x{n}" for n in range(12 * step)), *base[12 * step :]]) for step in range(5)]
    assert exact(chain[0], chain[1]) >= 0.7
    assert exact(chain[0], chain[4]) < 0.5
    kept = run(chain).splits["train"].text
    assert chain[0] in kept
    assert len(kept) >= 2


def test_test_wins_over_validation_and_both_over_train_and_the_longest_may_win_within_a_split():
    base = " ".join(f"w{n}" for n in range(60))
    splits = {"train": rows([base + " end", "other text"]), "validation": rows([base + " stop"]), "test": rows([base])}
    cleaned = run(splits)
    assert {name: len(part) for name, part in cleaned.splits.items()} == {"train": 1, "validation": 0, "test": 1}
    assert {row["reason"] for row in cleaned.gone} == {"near-duplicate of a row in test"}
    clusters = cleaned.records["near_duplicates"]["clusters"]
    assert clusters[0]["size"] == 3
    assert clusters[0]["kept"]["split"] == "test"
    assert run([base, base + " and more"], keep="longest").splits["train"].text == [base + " and more"]
    assert run([base, base + " and more"]).splits["train"].text == [base]


def test_texts_without_words_or_shorter_than_an_ngram_are_compared_as_they_are():
    assert run(["!!!", "???", "ok", "OK", "fine"]).splits["train"].text == ["!!!", "???", "ok", "fine"]


def test_scripts_without_spaces_are_compared_by_characters():
    text = "这家酒店的服务非常好，房间也很干净，下次还会再来的，推荐给大家"
    cleaned = run([text, text.replace("大家", "朋友"), "房间太小了，隔音也不好，早餐一般般，不会再来"])
    assert len(cleaned.splits["train"]) == 2


GROUPS = [[0, 20, 50], [400, 420], [800, 810, 820, 840, 860], [1205, 1215, 1225, 1245], [1600], [2000]]


@pytest.fixture(scope="module")
def lorem():
    """The text of datatrove's own tests of near-duplicates (Apache-2.0)."""
    return (Path(__file__).parent / "lorem_ipsum.txt").read_text().rstrip("\n")


def test_the_published_windows_of_datatrove_give_its_six_clusters(lorem):
    windows = [lorem[start : start + 400] for group in GROUPS for start in group]
    kept = run(windows, threshold=0.6, permutations=112).splits["train"]
    assert [int(name) for name in kept.id] == [0, 3, 5, 10, 14, 15]  # the first of each group
    # As datatrove does, keep=all joins what chains of pairs connect; it drops nothing.
    every = run(windows, threshold=0.7, permutations=112, keep="all")
    assert len(every.splits["train"]) == len(windows)
    assert every.values["cluster"] == [0.0] * 3 + [3.0] * 2 + [5.0] * 5 + [10.0] * 4 + [14.0, 15.0]
    assert [cluster["size"] for cluster in every.records["near_duplicates"]["clusters"]] == [5, 4, 3, 2]


def test_signatures_follow_the_shared_part_of_a_text_as_datatrove_demands(lorem):
    for percent in range(0, 100, 5):
        end = len(lorem) * percent // 100
        hashes, offsets = shingles.hashed([lorem, lorem[:end] + lorem[:end:-1]], 5)
        first, second = shingles.signatures(hashes, offsets, 112)
        assert abs((first == second).mean() - percent / 100) < 0.21


def test_the_best_score_the_source_and_length_decide_which_row_stays():
    base = " ".join(f"w{n}" for n in range(60))
    texts = [base, base + " and more", base + " end"]
    given = dataclasses.replace(rows(texts), provenance={"source": ["forum", "news", None]})
    assert run({"train": given}, keep="longest").splits["train"].id == ["1"]
    assert run({"train": given}, keep="source_priority", sources=["news", "forum"]).splits["train"].id == ["1"]
    assert run({"train": given}, keep="source_priority", sources=["forum"]).splits["train"].id == ["0"]
    step = NearDuplicates(NearDuplicatesOptions(0.7, 5, 128, "best_score", "quality.value", [], None, False, 1.0))
    for values, stays in (([0.1, 0.2, 0.9], 2), ([0.9, np.nan, 0.2], 0), ([0.5, 0.5, 0.5], 0)):
        batch = Batch("train", ["a", "b", "c"], Texts.of(texts), None, ["x"] * 3, scores={"quality.value": np.array(values)})
        assert set(range(3)) - step.decide(batch).drop.keys() == {stays}


def test_rows_near_to_an_earlier_corpus_go_with_that_reason(tmp_path):
    texts = corpus(120, seed=7)
    earlier, later = texts[:60], texts[60:]
    near_index.write(tmp_path / "near_index", [(["a", "b"], earlier[:2]), ([str(n) for n in range(2, 60)], earlier[2:])], 5, 128)
    cleaned = run(later, index=str(tmp_path))
    gone = {int(row["id"]) for row in cleaned.gone if row["reason"] == "near-duplicate of a row of the index"}
    assert gone == {row for row, text in enumerate(later) if max(exact(text, other) for other in earlier) >= 0.7}
    assert {"index"} <= {cluster["kept"]["split"] for cluster in cleaned.records["near_duplicates"]["clusters"]}
    with pytest.raises(ConfigError, match="ngram=5"):
        run(later, index=str(tmp_path), ngram=4)
    with pytest.raises(ConfigError, match="holds no index"):
        run(later, index=str(tmp_path / "near_index"))
    with (tmp_path / "near_index" / "hashes.bin").open("r+b") as file:
        file.write(b"spoilt")
    with pytest.raises(ConfigError, match="is damaged"):
        run(later, index=str(tmp_path), threshold=0.71)


@pytest.mark.parametrize("keep", ["first", "longest"])
@pytest.mark.parametrize("whole", [False, True])
def test_tasks_that_share_a_plan_make_the_plan_of_one(keep, whole):
    step = NearDuplicates(NearDuplicatesOptions(0.7, 5, 128, keep, None, [], None, False, 1.0))
    sketches, start = [], 0
    for split, texts in (("test", corpus(80, 1)), ("train", corpus(300, 1)), ("train", corpus(200, 2) + corpus(50, 1))):
        batch = Batch(split, [f"{split}{start + n}" for n in range(len(texts))], Texts.of(texts), None, ["x"] * len(texts))
        sketches.append(Sketch(split, start, len(texts), step.sketch(batch), whole=whole and split == "test"))
        start += len(texts)

    class Corpus:
        text = id = split = lambda self, row: str(row)

    alone = step.plan(sketches, Corpus())
    assert (alone["owner"] != np.arange(start)).sum() > 100
    for parts in (2, 7):
        shared = [step.plan_part(sketches, part, parts) for part in range(parts)]
        assert min(len(each["rows"]) for each in shared) > 10
        together = step.join(shared, sketches, Corpus())
        assert together["record"] == alone["record"]
        for name in ("owner", "similarity", "elsewhere"):
            assert np.array_equal(together[name], alone[name])


def test_one_cluster_of_a_large_share_is_warned_of():
    base = " ".join(f"w{n}" for n in range(60))
    texts = [f"{base} {n}" for n in range(20)] + corpus(20)
    assert "50.0%" in run(texts).records["near_duplicates"]["warnings"][0]
    assert run(texts, max_cluster_share=0.6).records["near_duplicates"]["warnings"] == []


def test_values_that_do_not_belong_together_are_refused():
    for values in ({"keep": "best_score"}, {"score": "length.words"}, {"keep": "source_priority"}, {"keep": "all", "index": "folder"}):
        with pytest.raises(ConfigError):
            run(["one", "two"], **values)
    with pytest.raises(ConfigError, match="no earlier step measures"):
        run(["one", "two"], keep="best_score", score="nothing.here")
    with pytest.raises(ConfigError, match="what source"):
        run(["one", "two"], keep="source_priority", sources=["news"])
