"""Augmenting: spans stay whole, protected words stay, rows are seeded by their ids, and only train grows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb import cli
from finecomb.config import plugins
from finecomb.config.compose import compose
from finecomb.config.schema import augmenter as schema
from finecomb.core.errors import ConfigError
from finecomb.data import augmenter
from finecomb.data.augmenter import Edit, Refusal
from finecomb.data.augmenter.counterfactual import AMBIGUOUS, Counterfactual, Terms, terms
from finecomb.data.augmenter.noise import neighbours
from finecomb.data.augmenter.operation import edited
from finecomb.data.augmenter.word_spans import LISTS, words
from finecomb.data.chance import Draws
from finecomb.data.prepare import prepare

PIECES = [
    *(
        "the movie",
        "John",
        "isn't",
        "very good",
        "boring",
        "她",
        "他说这部电影",
        "不好看",
        "👍🏽",
        "👩‍👩‍👧",
        "e\u0301te\u0301",
        "नमस्ते",
        "שלום",
        "don’t",
    ),
    *("her book", "mother-in-law", " ", "\r\n", "...", "10%", "rn cl", "ẞ", "ﬁlm", "İstanbul", "king", "and", "not"),
]
VALUES: dict[str, dict[str, Any]] = {
    "deletion": {"strength": 0.4},
    "swap": {"strength": 0.6},
    "synonyms": {"strength": 0.5, "file": None},
    "insertion": {"strength": 0.5, "file": None},
    "keyboard": {"strength": 0.3, "layout": "qwertz"},
    "ocr": {"strength": 0.5},
    "case": {"strength": 0.5, "to": "flip"},
    "counterfactual": {"terms": None},
    "back_translation": {},
}


def made(kind: str, *, protect: tuple[str, ...] = (), language: str = "en", translate: Any = None, **values: Any) -> Any:
    """One operation by itself, built as from a config."""
    operations = {kind: {"rate": 1.0} | VALUES[kind] | values}
    built = augmenter.build(schema.Operations("eda", 0, language, list(protect), operations), translate=translate)
    assert built is not None
    return built.operations[0][2]


def once(operation: Any, text: str, seed: int = 0) -> Any:
    return operation.apply([text], [Draws(seed, "test", text)])[0]


@pytest.mark.parametrize("kind", [kind for kind in schema.OPERATIONS if kind != "back_translation"])
def test_an_altered_text_is_another_and_valid_whatever_the_text(kind: str) -> None:
    draw, altered = random.Random(kind), 0
    operation = made(kind)
    for seed in range(400):
        text = " ".join(draw.choices(PIECES, k=draw.randint(0, 12)))
        after = once(operation, text, seed)
        if isinstance(after, Refusal):
            continue
        altered += 1
        assert after != text
        after.encode()
    assert altered > 50


def test_edits_that_overlap_are_an_error() -> None:
    assert edited("to New York today", [Edit(0, 2, "into"), Edit(11, 11, " City")]) == "into New York City today"
    for edits in ([Edit(0, 18, "")], [Edit(0, 2, ""), Edit(1, 2, "")]):
        with pytest.raises(ValueError, match="overlaps"):
            edited("to New York today", edits)


def test_words_keep_marks_apostrophes_and_unspaced_characters() -> None:
    found = [word.text for word in words("e\u0301te\u0301 isn’t 好看 mother-in-law 👍🏽 नमस्ते -x-")]
    assert found == ["e\u0301te\u0301", "isn’t", "好", "看", "mother-in-law", "नमस्ते", "x"]


@pytest.mark.parametrize("kind", ["deletion", "swap", "keyboard", "ocr", "case", "synonyms"])
def test_negations_are_left_alone(kind: str) -> None:
    operation = made(kind, protect=("negations", "Good"), strength=1.0)
    text = "It isn’t good and not a big movie, NEVER quickly"
    after = once(operation, text)
    for kept in ("isn’t", "not", "NEVER", "good"):
        assert kept in after.split()
    chinese = made("deletion", protect=("negations",), language="zh", strength=0.9)
    assert all("没有" in once(chinese, "这部电影没有意思", seed=seed) for seed in range(20))
    assert "at all" in once(made("deletion", protect=("at all",), strength=1.0), "It is at all times so")


def test_words_of_ascii_texts_are_those_of_any_text() -> None:
    draw = random.Random(1)
    for _ in range(200):
        text = "".join(draw.choices("ab_1 '-.!Z", k=20))
        assert words(text) == words(f"{text} é")[:-1]


def test_each_operation_does_what_it_says() -> None:
    text = "The quick movie was really hilarious indeed"
    assert len(once(made("deletion", strength=0.3), text).split()) == 5
    assert "  " not in once(made("deletion", strength=0.9), text)
    assert once(made("deletion", strength=1.0), text).split()[0] in text.split()
    swapped = once(made("swap"), text)
    assert sorted(swapped.split()) == sorted(text.split())
    replaced = once(made("synonyms", strength=1.0), text)
    assert replaced.split()[0] == "The"
    assert replaced.split()[1] in ("fast", "rapid", "swift")
    inserted = once(made("insertion", strength=0.3), text).split()
    assert len(inserted) == 9
    assert [word for word in inserted if word in text.split()] == text.split()
    upper = once(made("case", to="upper", strength=1.0), text)
    assert upper == text.upper()
    assert once(made("keyboard"), "好看 123 👍") == Refusal("nothing to change")


def test_typing_errors_are_neighbours_on_the_keyboard_that_was_named() -> None:
    assert set(neighbours("qwerty")["g"]) == set("fhtyvb")
    assert set(neighbours("qwertz")["g"]) == set("fhtzvb")
    assert "q" in neighbours("azerty")["a"]
    text = "Gorgeous dialogue"
    typed = once(made("keyboard", strength=0.2, layout="qwerty"), text)
    wrong = [(a, b) for a, b in zip(text, typed, strict=True) if a != b]
    assert len(wrong) == 3
    assert all(b.lower() in neighbours("qwerty")[a.lower()] and a.isupper() == b.isupper() for a, b in wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He gave her book to him.", "She gave his book to her."),
        ("I saw her again, and HER eyes. Her?", "I saw him again, and HIS eyes. Him?"),
        ("the king’s wife said it's his", "the queen’s husband said it's hers"),
        ("JOHN, John and john", "MARY, Mary and john"),
        ("He's a man-made hero; s/he and his or her", "She's a man-made heroine; s/he and his or her"),
        ("the other theme, shell", Refusal("nothing to change")),
        ("her mother-in-law’s actress", "his father-in-law’s actor"),
    ],
)
def test_counterfactual_swaps_of_english(text: str, expected: str | Refusal) -> None:
    after = once(made("counterfactual"), text)
    assert after == expected


def test_counterfactual_swaps_of_other_languages_and_what_is_refused() -> None:
    chinese = made("counterfactual", language="zh")
    assert once(chinese, "他说其他女演员都喜欢他的吉他") == "她说其他男演员都喜欢她的吉他"
    assert once(chinese, "妇女和他") == AMBIGUOUS
    german = made("counterfactual", language="de")
    assert once(german, "Peter spielt großartig") == "Petra spielt großartig"
    assert once(german, "Peter nahm seinen Hut") == AMBIGUOUS


def test_swapping_twice_gives_the_text_back_where_no_term_is_ambiguous() -> None:
    listed = terms(None, "en", "x")
    both = sorted({term for term, other in listed.swap.items() if listed.swap.get(other) == term and term not in listed.before_noun})
    assert len(both) > 200
    operation = Counterfactual(listed)
    for term in both:
        for text in (f"a {term}, then", f"{term.upper()}!"):
            after = once(operation, text)
            assert after != text
            assert once(operation, after) == text


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.tsv")), ids=lambda path: path.name)
def test_shipped_lists_can_be_read_and_say_nothing_twice(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines)) > 5
    if path.name.startswith("counterfactual"):
        Terms(lines, path.name)
    if path.name.startswith("synonyms"):
        assert all(1 < len(line.split("\t")) == len(set(line.split("\t"))) for line in lines)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("he\tshe\tsometimes", "the way 'sometimes' is not known"),
        ("he", "has no counterpart"),
        ("he\tshe\nhe\tthey", "has two counterparts"),
        ("# nothing", "has no terms"),
    ],
)
def test_a_list_of_ones_own_is_used_or_refused_with_its_line(line: str, message: str, write: Any) -> None:
    own = write("terms.tsv", "# mine\ncat\tdog\n")
    assert once(made("counterfactual", terms=str(own)), "a Cat and her dogs") == "a Dog and her dogs"
    with pytest.raises(ConfigError, match=message):
        made("counterfactual", terms=str(write("wrong.tsv", f"{line}\n")))


def test_back_translation_needs_a_function() -> None:
    with pytest.raises(ConfigError, match="needs a function that translates there and back"):
        made("back_translation")
    answers = {"Anna met Bob": "Bob was met by Anna", "same": "same", "none": " "}
    operation = made("back_translation", translate=lambda texts: [answers[text] for text in texts])
    assert once(operation, "Anna met Bob") == "Bob was met by Anna"
    assert once(operation, "same") == Refusal("nothing to change")
    assert once(operation, "none") == Refusal("an empty answer")
    with pytest.raises(ValueError, match="gave 1 texts for 2"):
        made("back_translation", translate=lambda texts: ["x"]).apply(["a", "b"], [])


def test_a_plug_in_brings_back_translation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    monkeypatch.setattr(plugins, "_loaded", {})
    folder = tmp_path / "mine"
    (folder / "augmenter").mkdir(parents=True)
    (folder / "augmenter" / "reversing.yaml").write_text(
        "defaults:\n  - /schema/augmenter/reversing@_here_\n  - _self_\nname: reversing\nseed: 0\nlanguage: en\nprotect: []\n"
        "operations: {back_translation: {rate: 1.0}}\n"
    )
    (folder / "finecomb_plugin.py").write_text(
        "from finecomb.config.plugins import Choice\nfrom finecomb.config.schema.augmenter import Operations\n"
        "def build(config):\n    from finecomb.data import augmenter\n"
        "    return augmenter.build(config, translate=lambda texts: [text[::-1] for text in texts])\n"
        "CHOICES = [Choice('augmenter', 'reversing', Operations, build)]\n"
    )
    config = compose(["augmenter=reversing"], config_dirs=[str(folder)]).config.augmenter
    built = augmenter.build(config)
    assert built is not None
    ((name, added),) = built.run(["a"], [["abc"]])
    assert (name, added.rows[0].texts[0]) == ("back_translation", "cba")


def config(name: str, *overrides: str) -> Any:
    return compose([f"augmenter={name}", *overrides]).config.augmenter


TEXTS = [f"The quick movie number {n} isn't a big story, and he was really hilarious" for n in range(40)]


def run(chosen: Any, ids: list[str], texts: list[str]) -> dict[str, str]:
    built = augmenter.build(chosen)
    assert built is not None
    found = built.run(ids, [texts])
    return {f"{ids[row.origin]}+{name}{row.copy}": row.texts[0] for name, added in found for row in added.rows}


def test_a_new_row_depends_on_the_id_and_the_seed_alone() -> None:
    ids = [f"r{n}" for n in range(40)]
    one = run(config("eda"), ids, TEXTS)
    order = list(range(40))
    random.Random(5).shuffle(order)
    assert run(config("eda"), [ids[n] for n in order], [TEXTS[n] for n in order]) == one
    some = run(config("eda"), ids[:7], TEXTS[:7])
    assert len(some.items() & one.items()) > 20
    assert run(config("eda", "seed=7"), ids, TEXTS) == one
    assert run(config("eda", "augmenter.seed=1"), ids, TEXTS) != one
    fewer = run(config("eda", "augmenter.operations.swap=null"), ids, TEXTS)
    assert {key: text for key, text in one.items() if "+swap" not in key}.items() <= fewer.items()
    assert not any("+swap" in key for key in fewer)


def test_rates_are_rows_for_each_row() -> None:
    ids = [f"r{n}" for n in range(40)]
    for rate, low, high in ((0.0, 0, 0), (0.5, 12, 28), (2.25, 80, 95)):
        words = [f"augmenter.operations.keyboard.rate={rate}", "augmenter.operations.ocr=null", "augmenter.operations.case=null"]
        assert low <= len(run(config("noise", *words), ids, TEXTS)) <= high


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["augmenter.operations.swop={rate: 1}"], "did you mean swap"),
        (["augmenter.operations.swap.rates=1"], "did you mean rate"),
        (["augmenter.operations.swap.strength=2"], "is above 1"),
        (["augmenter.operations.synonyms.file=nowhere.tsv"], "there is no file nowhere.tsv"),
        (["augmenter.language=xx"], "there is no list of negations for language 'xx'"),
        (["augmenter.language=zh"], "there is no list of synonyms for language 'zh'"),
    ],
)
def test_what_cannot_be_used_is_told(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        augmenter.build(config("eda", *words))
    assert message in "; ".join(f"{problem.what} {problem.hint}" for problem in caught.value.problems)


def prepared(write: Any, chosen: Any, texts: list[str], **changes: Any) -> Any:
    rows = [{"id": f"r{n}", "text": text, "label": "ab"[n % 2], "article": f"g{n // 2}", "pair": text[:9]} for n, text in enumerate(texts)]
    columns = {"id": "id", "group": "article"} | changes.pop("columns", {})
    dataset = make_dataset("files", files={"train": str(write("a.jsonl", rows))}, columns=columns, **changes)
    return prepare(dataset, make_cleaner(), augmenter=chosen, task_variant="sequence_classification")


def test_only_train_grows_and_every_new_row_is_accounted_for(write: Any) -> None:
    plain, found = prepared(write, None, TEXTS), prepared(write, config("eda"), TEXTS)
    before, after = plain.load(), found.load()
    for split in ("validation", "test"):
        assert before[split].to_dict() == after[split].to_dict()
    rows = {row["id"]: row for row in after["train"]}
    assert len(rows) == len(after["train"]) > 3 * len(before["train"])
    for row in before["train"]:
        assert rows.pop(row["id"]) == row
    origins = {row["id"]: row for row in before["train"]}
    for identifier, row in rows.items():
        origin = origins[identifier.partition("+")[0]]
        assert (row["label"], row["group"]) == (origin["label"], origin["group"])
        assert row["text"] != origin["text"]
        assert "isn't" in row["text"]
    manifest = found.manifest
    assert manifest.straddling_groups == 0
    entries = [entry for entry in manifest.funnel if entry["step"].startswith("augmenter.")]
    assert [entry["step"] for entry in entries] == [f"augmenter.{name}" for name in ("synonyms", "insertion", "swap", "deletion")]
    assert entries[0]["rows_in"] == len(before["train"])
    assert entries[-1]["rows_out"] == len(after["train"]) == manifest.rows["train"]
    for entry in entries:
        record = manifest.records[entry["step"]]
        assert entry["rows_out"] - entry["rows_in"] == record["added"] == entry["reasons"]["rows added"]
        assert record["added"] + sum(record["not_added"].values()) == len(before["train"])
        assert 0 < len([each for each in manifest.examples if each["step"] == entry["step"]]) <= 5
    assert found.key != plain.key
    assert prepared(write, config("none"), TEXTS).key == plain.key


def test_a_new_row_never_equals_a_row_of_any_split(write: Any) -> None:
    texts = [text for n in range(30) for text in (f"he came on day {n} to see the film", f"she came on day {n} to see the film")]
    found = prepared(write, config("counterfactual"), texts, columns={"group": None})
    record = found.manifest.records["augmenter.counterfactual"]
    assert record["added"] == 0
    assert set(record["not_added"]) == {"the same as another row", "the same as a row of validation or test"}
    assert sum(record["not_added"].values()) == 48
    # Nor one that differs in case, space and punctuation alone: so leakage is counted.
    texts = [text.replace("she came on", "She came, on") for text in texts]
    found = prepared(write, config("counterfactual"), texts, columns={"group": None})
    held_out = {text.replace(",", "").lower() for split in ("validation", "test") for text in found.load()[split]["text"]}
    new = [row["text"] for row in found.load()["train"] if "+" in row["id"]]
    assert len(new) > 20
    assert not held_out & {text.replace(",", "").lower() for text in new}


def test_both_texts_of_a_pair_are_swapped_together(write: Any) -> None:
    texts = [f"he said {n} more" for n in range(30)]
    found = prepared(write, config("counterfactual"), texts, columns={"text_pair": "pair", "group": None})
    new = [row for row in found.load()["train"] if "+" in row["id"]]
    assert len(new) == 24
    assert all(row["text"].startswith("she said") and row["text_pair"].startswith("she said") for row in new)


def test_lists_of_one_language_are_not_applied_to_another_in_silence(write: Any) -> None:
    with pytest.raises(ConfigError, match="were written for 'en'"):
        prepared(write, config("eda"), [f"这部电影没有意思，我们看了{n}分钟就走了，非常失望" for n in range(30)])


def test_augmented_and_balanced_rows_train_and_the_command_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, write: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.jsonl", [{"text": text, "label": "ab"[n % 3 == 0]} for n, text in enumerate(TEXTS)])
    words = ["dataset=files", "dataset.files.train=a.jsonl", "augmenter=eda", "sampler=balanced"]
    train = ["model=tiny", "trainer.max_steps=2", "trainer.threads=1", "batch.size=8", "logger=none"]
    assert cli.main(["train", *words, *train]) == 0
    told = capsys.readouterr()
    assert "augmenter.synonyms" in told.err
    assert "copies added" in told.err
    assert cli.main(["prepare", *words, "sampler.method=weights", "--output=mine"]) == 0
    out = capsys.readouterr().out
    assert "sampler" in out
    assert "weight" in out
    assert (tmp_path / "mine" / "report.html").read_text().count("<ins>") > 4
