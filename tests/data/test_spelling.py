"""Spelling: what is corrected, and above all what is not."""

import random

import pytest
from data_configs import clean

from finecomb.config.schema.cleaner import Cleaner
from finecomb.core.errors import ConfigError
from finecomb.data import cleaner
from finecomb.data.cleaner.corrections import likelihood
from finecomb.data.cleaner.steps import spelling
from finecomb.data.dataset.rows import Rows

VALUES = {"min_length": 4, "max_count": 20, "min_ratio": 10, "two_edits_from": 9, "dictionary": None, "map": None}
SENTENCES = [
    "The government announced a different programme for children in the morning.",
    "There is a necessary difference between the beginning and the separate parts of the building.",
    "Children receive their books from the library in the beginning of the year.",
]


def rows(texts):
    return Rows([str(n) for n in range(len(texts))], list(texts), None, ["x"] * len(texts), None, range(1, len(texts) + 1), "file")


def run(texts, **values):
    return clean(cleaner.build(Cleaner("own", {"spelling": VALUES | values}, False)), {"train": rows(texts)})


def test_rare_misspellings_of_frequent_words_are_corrected_with_their_capital():
    cleaned = run([*SENTENCES * 24, "The goverment told the childern. Seperate parts, seperate rooms, seperate doors."])
    assert cleaned.splits["train"].text[-1] == "The government told the children. Separate parts, separate rooms, separate doors."
    found = {row["wrong"]: row["right"] for row in cleaned.records["spelling"]["corrections"]}
    assert found == {"goverment": "government", "childern": "children", "seperate": "separate"}


@pytest.mark.parametrize(
    "text",
    [
        "Visit https://x.org/goverment or /usr/childern or me@goverment.org",
        "The `goverment` flag, goverment_id, goverment(), #goverment, @goverment, GOVERMENT and goverment-like",
        "Mr. Governent and Ms. Governent spoke.",  # a name: it stands with a capital only
        "xyzzyq and plugh",
        "GovermEnt, goverMent, governmEnts and iGoverment",  # letters in other places than a word has them
        "goverment2, 2goverment, goverment_x, c:\\goverment\\childern, ~/goverment/x.txt, goverment.txt",
        "goverment's and l'goverment, self-goverment",
        "<goverment> &goverment; $goverment {goverment: 1} [goverment](x) goverment=1 %goverment%",
        "\u653f\u5e9cgoverment\u653f\u5e9c goverment\u653f\u5e9c",
    ],
)
def test_names_code_addresses_and_unknown_words_are_left_alone(text):
    assert run([*SENTENCES * 12, text]).splits["train"].text[-1] == text


def test_words_that_are_frequent_here_are_words():
    assert run([*SENTENCES * 12, *["the goverment spoke"] * 21]).splits["train"].text[-1] == "the goverment spoke"


def test_inflections_that_the_dictionary_lacks_are_left_alone():
    known = spelling.dictionary(None)
    assert "unmapped" not in known or "reparented" not in known
    texts = [*["the map is mapped and the parent is parented, libraries and library"] * 40, "unmapped reparented libraryness"]
    assert run(texts).splits["train"].text[-1] == "unmapped reparented libraryness"


def test_the_map_is_a_file_that_a_person_edits_and_that_is_then_applied(tmp_path):
    cleaned = run([*SENTENCES * 12, "The goverment told the childern."])
    path = tmp_path / "corrections.tsv"
    path.write_text(spelling.write_map(cleaned.records["spelling"]["corrections"]))
    lines = [line for line in path.read_text().splitlines() if not line.startswith("childern")]
    path.write_text("\n".join(lines))
    assert run(["The goverment told the childern."], map=str(path)).splits["train"].text == ["The government told the childern."]
    path.write_text("goverment government")
    with pytest.raises(ConfigError, match="no correction"):
        run(["a"], map=str(path))


def test_other_languages_need_their_list_and_get_it(tmp_path):
    german = ["Die Regierung hat gestern ein neues Programm für Kinder und Jugendliche in der Hauptstadt angekündigt."] * 30
    with pytest.raises(ConfigError, match="were written for 'en'"):
        run(german)
    (tmp_path / "de.txt").write_text("\n".join({word.strip(".").lower() for word in german[0].split()}))
    after = run([*german, "Ein neues programm, das kinder und jugendliche frueh gestren sahen."], dictionary=str(tmp_path / "de.txt"))
    assert "gestern" in after.splits["train"].text[-1]


def test_words_that_mean_something_in_code_are_terms():
    text = "the goverment spoke"
    assert run([*SENTENCES * 12, text]).splits["train"].text[-1] == "the government spoke"
    assert run([*SENTENCES * 12, "call goverment_id(x)", text]).splits["train"].text[-1] == text
    assert run([*SENTENCES * 12, "`goverment` is set", text]).splits["train"].text[-1] == text


def test_words_of_texts_in_another_language_are_words():
    italian = "il governo applica le regole della comunicazione e della registrazione con il separato childern comunicato oggi"
    texts = [*SENTENCES * 24, italian, "he told the childern"]
    assert run(texts).splits["train"].text[-1] == "he told the childern"
    assert run([*SENTENCES * 24, "he told the childern"]).splits["train"].text[-1] == "he told the children"


@pytest.mark.parametrize(
    ("wrong", "right", "least"),
    [("recieve", "receive", 5), ("runing", "running", 3), ("goverment", "government", 2), ("gouvernment", "government", 1),
     ("tha", "the", 0), ("hte", "the", 5), ("xhe", "the", 0), ("seperate", "separate", 1), ("books", "book", 0.1)],
)  # fmt: skip
def test_slips_have_their_likelihoods(wrong, right, least):
    assert likelihood(wrong, right) == pytest.approx(least) or (least == 0 and likelihood(wrong, right) <= 0.1)


def test_hunspell_dictionaries_are_read_with_their_flags_and_encoding(tmp_path):
    (tmp_path / "de.dic").write_bytes("4\nStraße/Nf\nÜbung\tpo:noun\nund/oder\\/nicht/S\nzwölf 3\n".encode("latin-1"))
    (tmp_path / "de.aff").write_bytes(b"# comment\nSET ISO8859-1\nTRY abc\n")
    assert set(spelling.dictionary(str(tmp_path / "de.dic"))) == {"straße", "übung", "und", "zwölf"}


@pytest.mark.parametrize(
    ("language", "sentence", "spoilt", "mended"),
    [
        ("de", "Die Regierung hat gestern ein neues Programm vorgestellt, das allen helfen sollte, die es brauchen und gerne hätten.",
         "Gestern wurde es vorgestelt, und alle solten es gerne haben.", "Gestern wurde es vorgestellt, und alle sollten es gerne haben."),
        ("fr", "Le gouvernement a présenté hier un nouveau programme pour toutes les familles qui cherchent encore un logement.",
         "Toutes les famillles cherchent un logemnet.", "Toutes les familles cherchent un logement."),
    ],
)  # fmt: skip
def test_german_and_french_by_their_lists(tmp_path, language, sentence, spoilt, mended):
    words = {word.strip(",.").lower() for word in f"{sentence} {mended}".split()}
    file = tmp_path / f"{language}.dic"
    file.write_text("\n".join([str(len(words)), *(f"{word}/AB" for word in sorted(words))]))
    texts = [sentence] * 40 + ["alle sollten es gerne haben" if language == "de" else sentence] * 40
    after = run([*texts, spoilt], dictionary=str(file))
    assert after.splits["train"].text[-1] == mended


def test_the_map_that_prepare_writes_is_edited_and_given_back(tmp_path, monkeypatch):
    from finecomb import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [f"the government told the children in number {row} of the year,{row % 2}" for row in range(150)]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join([*lines, "the goverment told the childern,1"]))
    words = ["prepare", "dataset=files", "dataset.files.train=a.csv", "cleaner=spelling"]
    assert cli.main([*words, "--output", "first"]) == 0
    assert "goverment\tgovernment" in (tmp_path / "first" / "corrections.tsv").read_text()
    edited = (tmp_path / "first" / "corrections.tsv").read_text().replace("childern\tchildren", "childern\tkids")
    (tmp_path / "mine.tsv").write_text(edited)
    assert cli.main([*words, "cleaner.steps.spelling.map=mine.tsv", "--output", "second"]) == 0
    import pyarrow.parquet

    found = [
        text
        for name in ("train", "validation", "test")
        for text in pyarrow.parquet.read_table(f"second/{name}.parquet")["text"].to_pylist()
    ]
    assert "the government told the kids" in found


def test_injected_misspellings_are_corrected_precisely_and_clean_words_stay():
    """A corpus of dictionary words by Zipf's law, with errors of one letter injected into one word in two hundred."""
    draw = random.Random(2)
    known = [word for word in spelling.dictionary(None) if word.isalpha() and len(word) > 3][:4000]
    weights = [1 / (rank + 1) for rank in range(len(known))]
    clean = [draw.choices(known, weights, k=40) for _ in range(4000)]
    noisy, injected = [], {}
    for number, line in enumerate(clean):
        line = list(line)
        for place, word in enumerate(line):
            if len(word) >= 6 and draw.random() < 0.006:
                at = draw.randrange(1, len(word) - 1)
                wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
                if wrong != word and wrong not in spelling.dictionary(None):
                    line[place] = wrong
                    injected[number, place] = word
        noisy.append(line)
    after = [text.split() for text in run([" ".join(line) for line in noisy], two_edits_from=9).splits["train"].text]
    changed = [(n, p) for n, line in enumerate(after) for p, word in enumerate(line) if word != noisy[n][p]]
    right = [where for where in changed if injected.get(where) == after[where[0]][where[1]]]
    assert len(injected) > 200
    assert len(right) / len(changed) >= 0.9
    assert len(right) / len(injected) > 0.2
    assert sum(where not in injected for where in changed) <= 0.0005 * sum(map(len, clean))


def test_predictions_for_new_texts_use_the_map_that_training_learned(tmp_path, monkeypatch, capsys):
    from finecomb import cli
    from finecomb.serving import Predictor

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [
        f"{'the government is good' if row % 2 else 'the children are bad'} in number {row} of the year,{row % 2}" for row in range(150)
    ]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join([*lines, "the goverment is good,1"]))
    step = "cleaner.steps.spelling={min_length: 5, max_count: 3, min_ratio: 10, two_edits_from: 8, dictionary: null, map: null}"
    words = ["dataset=files", "dataset.files.train=a.csv", step, "model=tiny", "logger=none", "trainer.max_epochs=1"]
    assert cli.main(["train", *words]) == 0
    run = tmp_path / capsys.readouterr().out.splitlines()[-1]
    predictor = Predictor(run)
    wrong, right = predictor(["the goverment is good", "the government is good"])
    assert wrong["probabilities"] == pytest.approx(right["probabilities"], abs=1e-6)
    for manifest in (tmp_path / "cache" / "prepared").glob("*/manifest.json"):
        manifest.unlink()
    with pytest.raises(ConfigError, match="learned from the training data"):
        Predictor(run)
