"""Each cleaning step on texts where right and wrong are known."""

import dataclasses
import subprocess
import sys
from importlib import import_module

import pytest
from data_configs import clean

from finecomb.config.cleaning_steps import FOLDER, shipped
from finecomb.config.fields import fields_of
from finecomb.config.schema.cleaner import Cleaner
from finecomb.core.errors import ConfigError
from finecomb.data import cleaner
from finecomb.data.cleaner.step import Step
from finecomb.data.cleaner.steps.personal import luhn
from finecomb.data.cleaner.word_pattern import words
from finecomb.data.dataset.rows import Rows


def rows(texts, pairs=None):
    count = len(texts)
    return Rows([str(n) for n in range(count)], list(texts), pairs, ["x"] * count, None, range(1, count + 1), "file")


def run(step, texts, **values):
    given = texts if isinstance(texts, dict) else {"train": rows(texts)}
    return clean(cleaner.build(Cleaner("own", {step: values}, False)), given)


def texts_after(step, texts, **values):
    return run(step, texts, **values).splits["train"].text


def reasons(cleaned, split="train"):
    return next(entry["reasons"] for entry in cleaned.funnel if entry["split"] == split)


def test_the_options_read_from_the_text_of_a_file_are_those_of_its_classes():
    modules = [import_module(f"finecomb.data.cleaner.steps.{path.stem}") for path in FOLDER.glob("[!_]*.py")]
    imported = {kind: step for module in modules for kind, step in module.CLEANING_STEPS.items()}
    assert sum(len(module.CLEANING_STEPS) for module in modules) == len(imported), "two files define a step of the same name"
    assert imported.keys() == shipped().keys()
    for kind, (options, make) in imported.items():
        assert (options.__name__, options.__doc__) == (shipped()[kind].options.__name__, shipped()[kind].options.__doc__)
        assert fields_of(options) == fields_of(shipped()[kind].options)
        assert issubclass(make, Step)


def test_the_options_are_known_without_importing_the_steps():
    code = (
        "import sys; from finecomb.config import plugins; assert plugins.cleaning_steps(); "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('numpy', 'pyarrow', 're2') or 'finecomb.data' in name))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_mojibake_is_mended_and_good_text_is_left_alone():
    broken = "Câ€™est lâ€™Ã©tÃ©, schÃ¶n"
    good = ["déjà vu — “quoted”", "naïve façade", "Ärger über Öl", "中文评论", "plain"]
    after = texts_after("mojibake", [broken, *good])
    assert after == ["C’est l’été, schön", *good]


def test_controls_go_and_joiners_stay():
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f466"
    assert texts_after("controls", ["a\x00b\u200bc\ufeff\r\nd\re", family]) == ["abc\nd\ne", family]


def test_html_goes_and_comparisons_stay():
    text = "<p class='a'>Tom &amp; Jerry<br/><script>x < y</script> if a < b and c > d <!-- note --></p>"
    assert " ".join(texts_after("html", [text])[0].split()) == "Tom & Jerry if a < b and c > d"


@pytest.mark.parametrize(
    "text",
    [
        "a List<String> and a Map<String, List<Integer>>",
        "if a <b and c> d",
        "x <i or j> y",
        "std::vector<int> v; foo<T>()",
        "write to <john@example.com> or <https://example.com>",
        "Set <your name> here",
    ],
)
def test_what_only_looks_like_markup_stays(text):
    assert texts_after("html", [text]) == [text]


@pytest.mark.parametrize(
    "markup",
    [
        "<b>", "</b>", "<BR/>", "<br />", "<a href=x>", '<a href="x" target=_blank">', "<input disabled>", "<input disabled value='1'>",
        "<td nowrap align = left>", "<o:p>", "<my-element class='x'>", "<img\nsrc='a'\nalt='b'/>", "<option selected>", "<h1 class=big>",
    ],
)  # fmt: skip
def test_markup_goes(markup):
    assert texts_after("html", [f"one{markup}two"]) == ["one two"]


def test_placeholders_and_plain_punctuation():
    after = texts_after("placeholders", ["see https://a.b/c?d=1, 3.5 of 10 in v2 or www.x.org."], url="[URL]", number="[N]")
    assert after[0].startswith("see [URL] [N] of [N] in v2 or [URL]")
    assert texts_after("punctuation", ["“a” – b…"]) == ['"a" - b...']


def test_personal_data_becomes_placeholders_and_look_alikes_stay():
    text = "mail a.b+c@mail.example.org, card 4111 1111 1111 1111, call +49 30 1234567 or (030) 123-4567, from 8.8.8.8"
    wanted = "mail [EMAIL], card [CARD], call [PHONE] or [PHONE], from [IP]"
    stays = "at 127.0.0.1 and 192.168.1.1, version 1.2.3.4.5, 4111 1111 1111 1112, in 2024-11-23, @name, 300.1.1.1"
    flags = {"email": True, "ip": True, "phone": True, "card": True}
    assert texts_after("personal_data", [text, stays], **flags) == [wanted, stays]
    assert luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3])  # the example of ISO/IEC 7812-1
    assert not luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 0])


def test_lengths_count_characters_of_scripts_without_spaces_as_words():
    assert words("这部电影 is good_1, naïve") == ["这", "部", "电", "影", "is", "good_1", "naïve"]
    cleaned = run("length", ["one two", "这部电影很好", "x" * 50], min_characters=3, max_characters=40, min_words=3, max_words=None)
    assert cleaned.splits["train"].text == ["这部电影很好"]
    assert reasons(cleaned) == {"fewer than 3 words": 1, "more than 40 characters": 1}
    assert cleaned.values["words"] == [2.0, 6.0, 1.0]


def test_languages():
    texts = [
        "The film is a quiet study of a family that has nothing left to say to each other.",
        "Der Film ist eine stille Studie über eine Familie, die sich nichts mehr zu sagen hat.",
        "这部电影讲述了一个家庭的故事，演员的表演非常出色。",
    ]
    cleaned = run("language", texts, keep=["en", "zh"], min_score=0.5)
    assert cleaned.splits["train"].id == ["0", "2"]
    assert reasons(cleaned) == {"language de": 1}


def test_patterns_are_linear_in_the_text_and_say_which_one_matched():
    texts = ["a" * 50_000 + "!", "buy now", "a fine film"]
    cleaned = run("patterns", texts, drop=["(a+)+$", "BUY"], keep=[r"\w"], any_case=True)
    assert reasons(cleaned) == {"matches BUY": 1}
    with pytest.raises(ConfigError, match="cannot be used"):
        run("patterns", texts, drop=[r"(?=a)"], keep=[], any_case=False)


def test_words_of_a_list_count_as_words_and_in_unspaced_scripts_anywhere(tmp_path):
    (tmp_path / "list.txt").write_text("Spam\n广告\n")
    texts = ["spam", "spammer", "a SPAM, spam", "这是广告", "nothing"]
    cleaned = run("word_list", texts, words=[], file=str(tmp_path / "list.txt"), max_count=0)
    assert cleaned.splits["train"].text == ["spammer", "nothing"]
    assert run("word_list", texts, words=["spam"], file=None, max_count=1).splits["train"].id == ["0", "1", "3", "4"]
    same = [cleaner.build(Cleaner("o", {"word_list": {"words": [], "file": str(tmp_path / "list.txt"), "max_count": 0}}, False)).identity]
    (tmp_path / "list.txt").write_text("Spam\n")
    changed = cleaner.build(Cleaner("o", {"word_list": {"words": [], "file": str(tmp_path / "list.txt"), "max_count": 0}}, False)).identity
    assert same[0] != changed


def preset(name, step):
    import yaml

    from finecomb.config.locate import conf_dir

    return yaml.safe_load((conf_dir() / "cleaner" / f"{name}.yaml").read_text())["steps"][step]


PROSE = (
    "The river is wide here and the boats that cross it carry people to the market with their goods. "
    "In the evening the water turns dark and the lamps along the bank are lit one after the other. "
    "It is said that the first of the bridges was built to honour a queen who would not be carried over. "
)


def test_gopher_keeps_prose_and_names_the_rule_that_is_broken():
    values = preset("gopher", "gopher_quality")
    bullets = "\n".join(f"- item {n} of the list that is here to be read with care" for n in range(12))
    texts = [
        PROSE * 2,
        "too short to be of the kind",
        bullets,
        "#" * 40 + PROSE * 2,
        "a b c d " * 40 + " the of and",
        "xyzzy foo bar " * 30,
    ]
    cleaned = run("gopher_quality", texts, **values | {"language": None})
    assert cleaned.splits["train"].id == ["0"]
    assert reasons(cleaned) == {
        "number of words": 1, "too many bullet lines": 1, "too many hash signs": 1, "mean word length": 1, "too few stop words": 1,
    }  # fmt: skip
    # Another threshold needs no new measurement: the scores are there.
    kept = cleaned.values
    assert [value >= 5 for value in kept["words"]] == [True] * 6


def test_english_rules_are_not_applied_to_other_languages_in_silence():
    chinese = ["这部电影讲述了一个家庭的故事，演员的表演非常出色。" * 3] * 5
    with pytest.raises(ConfigError, match="were written for 'en'"):
        run("gopher_quality", chinese, **preset("gopher", "gopher_quality"))
    with pytest.raises(ConfigError, match="were written for 'en'"):
        run("c4", chinese, **preset("c4", "c4"))


def test_gopher_repetition_measures_what_the_paper_defines():
    values = preset("gopher", "gopher_repetition")
    cleaned = run("gopher_repetition", ["same line here\n" * 10, PROSE, "one two three four five six seven eight " * 6], **values)
    scores = cleaned.values
    assert scores["duplicate_lines"][0] == pytest.approx(0.9)
    assert scores["top_2gram"][1] < 0.2
    # 48 words of which the first 8 are new: 5/6 of the characters lie in n-grams that stood there before.
    assert scores["repeated_5grams"][2] == pytest.approx(5 / 6)
    assert cleaned.splits["train"].id == ["1"]


def test_shares_that_do_not_fit_the_lengths_of_ngrams_are_the_users_error():
    with pytest.raises(ConfigError, match="2 shares, where 3 are needed"):
        run("gopher_repetition", ["a"], **preset("gopher", "gopher_repetition") | {"max_top_ngram_characters": [0.1, 0.2]})


def test_c4_takes_lines_out_and_drops_code_and_placeholder_text():
    page = (
        PROSE.replace(". ", ".\n")
        + "Home\nAccept our cookie policy to go on here.\nPlease enable javascript to go on.\nIt is so[1] there.\nAnd on it goes."
    )
    values = preset("c4", "c4")
    cleaned = run("c4", [page, "function() { return 1; }", "Lorem ipsum dolor sit.", "Only one sentence is here."], **values)
    assert cleaned.splits["train"].id == ["0"]
    after = cleaned.splits["train"].text[0]
    assert not [word for word in ("Home", "cookie", "javascript") if word in after]
    assert "It is so there." in after
    assert reasons(cleaned) == {"a brace": 1, "lorem ipsum": 1, "too few sentences": 1}


def test_fineweb_rules():
    cleaned = run("fineweb", [PROSE, "menu\nhome\nabout\ncontact\n" * 5], **preset("fineweb", "fineweb"))
    assert cleaned.splits["train"].id == ["0"]


def test_repeated_lines_are_those_of_many_texts():
    texts = [f"text number {n} says its own thing\nAll rights are reserved by us" for n in range(6)] + ["All rights are reserved by us"]
    cleaned = run("repeated_lines", texts, max_texts=3, min_words=3)
    assert cleaned.splits["train"].text == [f"text number {n} says its own thing" for n in range(6)]
    assert reasons(cleaned) == {"nothing but repeated lines": 1}
    assert cleaned.records["repeated_lines"]["most_frequent"] == [{"texts": 7, "line": "All rights are reserved by us"}]


def test_long_ngrams_shared_with_test_are_contamination():
    sentence = " ".join(f"word{n}" for n in range(20))
    splits = {
        "train": rows([f"so {sentence} it goes", "word1 word2 word3", "unrelated text"]),
        "test": rows([sentence, "word1 word2 word3"]),
    }
    cleaned = run("decontaminate", splits, ngram=13, max_matches=10)
    assert cleaned.splits["train"].id == ["2"]
    assert len(cleaned.splits["test"]) == 2
    assert reasons(cleaned) == {"shares 13 words with test": 2}


def test_every_dropped_row_is_kept_aside_with_its_reason():
    cleaned = run("length", ["a", "long enough"], min_characters=3, max_characters=None, min_words=None, max_words=None)
    assert [(row["step"], row["reason"], row["id"], row["text"]) for row in cleaned.gone] == [
        ("length", "fewer than 3 characters", "0", "a")
    ]
    entry = cleaned.funnel[0]
    assert (entry["bytes_in"], entry["bytes_out"]) == (12, 11)


def test_every_value_of_every_step_is_described():
    for name, step in shipped().items():
        cls = step.options
        assert cls.__doc__, name
        assert all(field.metadata["help"] for field in dataclasses.fields(cls))
