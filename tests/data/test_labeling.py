"""Labels of all kinds on their way into the data: word lists, functions of a plug-in, neighbours, what was given, soft labels."""

import json
import random
import tracemalloc

import pyarrow.parquet as parquet
import pytest

from finecomb import cli
from finecomb.config import plugins
from finecomb.config.schema.annotator import LabelingFunctions, Propagation
from finecomb.core.errors import ConfigError
from finecomb.data import annotator
from finecomb.data.annotator import functions, propagation
from finecomb.data.annotator.terms import Terms

PLUGIN = """
def shouts(text):
    return text.isupper()

def by_ending(text):
    return {"!": "loud", "?": "asking"}.get(text[-1:])

def broken(text):
    return text.index("never")

LABELING_FUNCTIONS = {"shouts": shouts, "by_ending": by_ending, "broken": broken, "odd": lambda text: 3}
"""


def labeling(rules, **values):
    usual = {"min_confidence": 0.5, "soft": False, "model": "dawid_skene", "class_balance": None, "given_labels": "replace"}
    return LabelingFunctions(name="labeling_functions", functions=rules, **{**usual, **values})


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "_loaded", {})
    return tmp_path


def votes(rules, texts):
    found, names = functions.votes(texts, functions.build(rules))
    return [[names[vote] if vote >= 0 else None for vote in row] for row in found]


def test_a_word_list_holds_whole_words_in_every_script_and_parts_where_no_spaces_are(here):
    (here / "cities.txt").write_text("New York\nкот\n很好\nnaïve\n\n", encoding="utf-8")
    rules = {"list": {"label": "yes", "gazetteer": "cities.txt"}, "rest": {"label": "no", "max_words": 0}}
    texts = ["in NEW\nYORK now", "New Yorkers", "котик", "Кот!", "这部电影很好看", "naïveté", "too Naïve"]
    assert [row[0] for row in votes(rules, texts)] == ["yes", None, None, "yes", "yes", None, "yes"]


def test_spans_of_terms_are_code_points_and_the_longest_wins():
    text = "😀 New York, new york city; yorks"
    found = Terms(["york", "New York", "new york city"], "x").spans(text)
    assert [text[start:end] for start, end in found] == ["New York", "new york city"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"label": "x", "gazetteer": "missing.txt"}, "there is no file missing.txt"),
        ({"label": "x", "gazetteer": "empty.txt"}, "holds no term"),
        ({"label": "x", "gazetteer": "latin.txt"}, "is not UTF-8"),
        ({"label": "x", "function": "nowhere"}, "no plug-in brings a labeling function named nowhere"),
        ({"label": "x", "min_characters": "ten"}, "is no whole number"),
        ({"label": "x", "words": ["a"], "gazetteer": "empty.txt"}, "words and a gazetteer in one function"),
    ],
)
def test_lists_and_functions_that_are_not_there_are_the_users_error(here, rule, said):
    (here / "empty.txt").write_text("\n\n")
    (here / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ConfigError, match=said):
        functions.build({"one": rule, "two": {"label": "y", "max_words": 3}})


def test_characters_bound_a_rule():
    rules = {"short": {"label": "a", "max_characters": 3}, "long": {"label": "b", "min_characters": 4, "max_characters": 6}}
    assert votes(rules, ["很好的", "four", "sevenxx"]) == [["a", None], [None, "b"], [None, None]]


def test_a_plug_ins_functions_vote_by_name_and_what_they_do_wrong_is_told(here):
    (here / "finecomb_plugin.py").write_text(PLUGIN)
    plugins.load([here])
    rules = {"caps": {"label": "loud", "function": "shouts", "min_characters": 3}, "end": {"function": "by_ending"}}
    assert votes(rules, ["HEY", "OK", "what?", "STOP!", "well"]) == [
        ["loud", None], [None, None], [None, "asking"], ["loud", "loud"], [None, None],
    ]  # fmt: skip
    for name, said in (("broken", "ValueError: substring not found"), ("odd", "the function returned 3")):
        with pytest.raises(ConfigError, match=said):
            votes({"bad": {"function": name}}, ["some text"])
    before = functions.identity(rules)
    (here / "finecomb_plugin.py").write_text(PLUGIN + "\n# another version\n")
    plugins._loaded.clear()
    plugins.load([here])
    assert functions.identity(rules) != before


def test_a_plug_ins_functions_label_a_file_from_the_command_line(here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "finecomb_plugin.py").write_text(PLUGIN)
    (here / "raw.txt").write_text("\n".join(f"sentence {row} {'is so!' if row % 2 else 'is it?'}" for row in range(60)))
    words = ["dataset=files", "dataset.files.train=raw.txt", "dataset.columns.label=null", "annotator=labeling_functions"]
    words += ["annotator.functions.end={function: by_ending}", "--config-dir", "mine", "--output", "out"]
    assert cli.main(["prepare", *words]) == 0
    assert "its own" in capsys.readouterr().out
    rows = parquet.read_table(here / "out" / "train.parquet").to_pylist()
    assert {(row["text"][-1], row["label"]) for row in rows} == {("!", "loud"), ("?", "asking")}


def test_the_report_measures_functions_and_models_on_the_labels_that_are_known():
    texts = ["good"] * 60 + ["bad"] * 40
    given = ["pos"] * 48 + ["neg"] * 12 + ["neg"] * 20 + [None] * 20
    rules = {"up": {"label": "pos", "words": ["good"]}, "down": {"label": "neg", "words": ["bad"]}}
    done = annotator.build(labeling(rules))(texts, given=given)
    told = {each["name"]: each for each in done.record["functions"]}
    assert (told["up"]["accuracy"], told["up"]["known"]) == (0.8, 60)
    assert (told["down"]["accuracy"], told["down"]["known"]) == (1.0, 20)
    assert set(done.record["models"]) == {"majority", "weighted", "dawid_skene"}
    assert done.record["models"]["majority"] == {"same_label": 1.0, "accuracy": 0.85, "known": 80}
    assert done.labels == ["pos"] * 60 + ["neg"] * 40
    kept = annotator.build(labeling(rules, given_labels="keep", soft=True))(texts, given=given)
    assert kept.labels[48:60] == ["neg"] * 12
    assert set(kept.origin[:80]) == {"given"}
    assert kept.soft[50].tolist() == [1.0, 0.0]
    assert 0.5 < kept.soft[-1][kept.classes.index("neg")] < 1.0


def test_a_class_balance_that_is_told_is_used_and_checked():
    texts = ["good bad"] * 10 + ["good"] * 5 + ["bad"] * 5
    rules = {"up": {"label": "pos", "words": ["good"]}, "down": {"label": "neg", "words": ["bad"]}}
    done = annotator.build(labeling(rules, class_balance={"pos": 0.9, "neg": 0.1}, model="majority"))(texts)
    assert done.labels[0] is None  # majority does not look at shares
    done = annotator.build(labeling(rules, class_balance={"pos": 0.9, "neg": 0.1}))(texts)
    assert done.labels[0] == "pos"
    for wrong, said in (({"pos": 1.0}, "class_balance names pos"), ({"pos": 0.9, "neg": 0.9}, "are no shares")):
        with pytest.raises(ConfigError, match=said):
            annotator.build(labeling(rules, class_balance=wrong))(texts)


def test_neighbours_pass_labels_on_abstain_when_unlike_and_are_measured_by_leaving_one_out():
    config = Propagation("propagation", min_confidence=0.6, soft=False, neighbours=3, min_similarity=0.1, units="auto")
    good, bad = (
        ["a lovely warm film", "lovely warm acting", "warm lovely story"],
        ["dull cold plot", "cold dull scenes", "a dull cold film"],
    )
    done = annotator.build(config)(
        [*good, *bad, "what a lovely warm day", "such a cold dull night", "zzz qqq"], given=["p"] * 3 + ["n"] * 3 + [None] * 3
    )
    assert done.labels == ["p"] * 3 + ["n"] * 3 + ["p", "n", None]
    assert done.origin[6] in {"like row 0", "like row 1", "like row 2"}
    assert done.record["leave_one_out"] == {"rows": 6, "labeled": 6, "right": 6, "accuracy": 1.0}
    assert (done.silent, done.origin[8]) == ("no similar row has a label", "")
    chinese = annotator.build(config)(
        ["电影很好看", "好看的电影", "太无聊了", "无聊透顶", "真好看", "很无聊"], given=["p", "p", "n", "n", None, None]
    )
    assert (chinese.record["units"], chinese.labels[4:]) == ("characters", ["p", "n"])
    with pytest.raises(ConfigError, match="no row has a label"):
        annotator.build(config)(["a", "b"])


def test_neighbours_of_many_labels_are_found_in_blocks_of_bounded_memory(monkeypatch):
    config = Propagation("propagation", min_confidence=0.6, soft=True, neighbours=3, min_similarity=0.1, units="words")
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=3)).replace(" ", "x ") + "x" for _ in range(3_000)]
    given = [draw.choice("pn") for _ in texts[:-20]] + [None] * 20
    tracemalloc.start()
    done = annotator.build(config)(texts, given=given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6  # all similarities at once, their order and their negatives: 220 MB
    monkeypatch.setattr(propagation, "_CELLS", len(texts) ** 2)
    whole = annotator.build(config)(texts, given=given)
    assert (done.labels, done.origin, done.record, done.soft.tolist()) == (whole.labels, whole.origin, whole.record, whole.soft.tolist())


def test_rows_without_a_label_are_an_error_unless_an_annotator_labels_them(here, capsys):
    lines = [f"a lovely warm film {row},{'good' if row < 20 else ''}" for row in range(60)]
    lines += [f"a dull cold film {row},{'bad' if row < 20 else ''}" for row in range(60)]
    (here / "a.csv").write_text("text,label\n" + "\n".join(lines))
    words = ["prepare", "dataset=files", "dataset.files.train=a.csv"]
    assert cli.main(words) == 2
    assert "the label is missing" in (told := capsys.readouterr().err)
    assert "annotator=propagation" in told
    assert cli.main([*words, "annotator=propagation", "--output", "out"]) == 0
    assert "leaving one out: 40 of 40 labeled rows" in capsys.readouterr().out
    rows = parquet.read_table(here / "out" / "train.parquet").to_pylist()
    assert {(row["text"].split()[1], row["label"]) for row in rows} == {("lovely", "good"), ("dull", "bad")}
    assert cli.main(words) == 2  # what was read for the annotator is not taken for whole


def test_soft_labels_go_with_the_training_rows_and_nowhere_else(here, capsys):
    lines = [f"a {'good' if row % 2 else 'bad'} film of number {row}{' good' if row % 7 == 0 else ''}" for row in range(120)]
    (here / "raw.txt").write_text("\n".join(lines))
    words = ["dataset=files", "dataset.files.train=raw.txt", "dataset.columns.label=null", "annotator=labeling_functions"]
    words += ["annotator.functions={up: {label: pos, words: [good]}, down: {label: neg, words: [bad]}}", "annotator.min_confidence=0.5"]
    assert cli.main(["prepare", *words, "--output", "hard"]) == 0
    assert cli.main(["prepare", *words, "annotator.soft=true", "--output", "soft"]) == 0
    hard, soft = (parquet.read_table(here / name / "train.parquet").to_pylist() for name in ("hard", "soft"))
    assert [row | {"soft": None} for row in soft] == [row | {"soft": None} for row in hard]
    assert all(row["soft"][["neg", "pos"].index(row["label"])] >= 0.5 and abs(sum(row["soft"]) - 1) < 1e-9 for row in soft)
    assert "soft" not in parquet.read_schema(here / "soft" / "test.parquet").names
    manifests = [json.loads((here / name / "manifest.json").read_text()) for name in ("hard", "soft")]
    assert manifests[0]["content_hash"] != manifests[1]["content_hash"]
    assert "soft" in manifests[1]["columns"]
    capsys.readouterr()
    assert cli.main(["train", *words, "annotator.soft=true", "loss=focal", "model=tiny"]) == 2
    assert "loss=focal takes one class" in capsys.readouterr().err
    assert cli.main(["train", "dataset=prepared", "dataset.path=soft", "loss=focal", "model=tiny"]) == 2
    assert "the training rows have soft labels" in capsys.readouterr().err


def test_the_word_lists_of_sentiment_judge_opinions_in_english_and_chinese(here, capsys):
    texts = [
        "a wonderful and moving film {}",
        "a dull and tedious mess {}",
        "这部电影很好看 {}",
        "质量太差，非常失望 {}",
        "not funny and far too long {}",
    ]
    labels = ["positive", "negative", "positive", "negative", "negative"]
    rows = [json.dumps({"text": text.format(n), "label": label}) for n in range(30) for text, label in zip(texts, labels, strict=True)]
    (here / "a.jsonl").write_text("\n".join(rows))
    words = ["dataset=files", "dataset.files.train=a.jsonl", "annotator=sentiment", "cleaner=none", "--output", "out"]
    assert cli.main(["prepare", *words]) == 0
    told = capsys.readouterr().out
    assert "150 of 150 would be the same (100.0%)" in told
    assert "annotator.given_labels=keep keeps them" in told
    table = {cells[0]: cells[1:] for line in told.splitlines() if (cells := line.split())}
    assert table["function"] == ["label", "coverage", "overlap", "conflict", "accuracy", "with", "model"]
    assert table["blame"] == ["negative", "20.0%", "0.0%", "0.0%", "100.0%", "100.0%"]
    assert table["praise"][:5] == ["positive", "40.0%", "20.0%", "20.0%", "50.0%"]
