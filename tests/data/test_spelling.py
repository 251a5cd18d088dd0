"""Spelling: what is corrected, and above all what is not."""

import random

import pytest
from data_configs import clean

from finecomb.config.errors import UserError
from finecomb.config.schema.cleaner import Cleaner
from finecomb.data import cleaner
from finecomb.data.cleaner import spelling
from finecomb.data.dataset.rows import Rows

VALUES = {"min_length": 5, "max_count": 3, "min_ratio": 10, "two_edits_from": 8, "dictionary": None, "map": None}
SENTENCES = [
    "The government announced a different programme for children in the morning.",
    "There is a necessary difference between the beginning and the separate parts of the building.",
    "Children receive their books from the library in the beginning of the year.",
]


def rows(texts):
    return Rows([str(n) for n in range(len(texts))], list(texts), None, ["x"] * len(texts), None, range(1, len(texts) + 1), "file")


def run(texts, **values):
    return clean(cleaner.build(Cleaner("own", {"spelling": VALUES | values})), {"train": rows(texts)})


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
    ],
)
def test_names_code_addresses_and_unknown_words_are_left_alone(text):
    assert run([*SENTENCES * 12, text]).splits["train"].text[-1] == text


def test_words_that_are_frequent_here_are_words():
    assert run([*SENTENCES * 12, *["the goverment spoke"] * 5]).splits["train"].text[-1] == "the goverment spoke"


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
    with pytest.raises(UserError, match="no correction"):
        run(["a"], map=str(path))


def test_other_languages_need_their_list_and_get_it(tmp_path):
    german = ["Die Regierung hat gestern ein neues Programm für Kinder und Jugendliche in der Hauptstadt angekündigt."] * 30
    with pytest.raises(UserError, match="were written for 'en'"):
        run(german)
    (tmp_path / "de.txt").write_text("\n".join({word.strip(".").lower() for word in german[0].split()}))
    after = run([*german, "Ein neues programm, das kinder und jugendliche frueh gestren sahen."], dictionary=str(tmp_path / "de.txt"))
    assert "gestern" in after.splits["train"].text[-1]


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
    after = [text.split() for text in run([" ".join(line) for line in noisy], min_length=6, min_ratio=50).splits["train"].text]
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
    words = ["dataset=files", "dataset.files.train=a.csv", step, "model=tiny_bert", "logger=none", "trainer.max_epochs=1"]
    assert cli.main(["train", *words]) == 0
    run = tmp_path / capsys.readouterr().out.splitlines()[-1]
    predictor = Predictor(run)
    wrong, right = predictor(["the goverment is good", "the government is good"])
    assert wrong["probabilities"] == pytest.approx(right["probabilities"], abs=1e-6)
    for manifest in (tmp_path / "cache" / "prepared").glob("*/manifest.json"):
        manifest.unlink()
    with pytest.raises(UserError, match="learned from the training data"):
        Predictor(run)
