"""Cleaning by one's own: steps and predicates that a plug-in brings, and a model fitted to one's own text."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from finecomb import cli
from finecomb.config import plugins
from finecomb.config.schema import cleaner as schema
from finecomb.core.errors import ConfigError
from finecomb.data import cleaner
from finecomb.data.cleaner.step import Batch
from finecomb.data.cleaner.steps.perplexity import CharacterModel, Perplexity, PerplexityOptions

CODE = '''
from dataclasses import dataclass

from finecomb.config.schema.base import option
from finecomb.data.cleaner.step import TextRewrite


@dataclass
class ShoutSchema:
    """Louder."""

    marks: int = option("exclamation marks", low=1)


class Shout(TextRewrite):
    def __init__(self, config):
        self._marks = config.marks

    def rewrite(self, text):
        return text.upper() + "!" * self._marks


def politeness(text):
    return text.count("please") / 2


CLEANING_STEPS = {"shout": (ShoutSchema, Shout)}
PREDICATES = {"politeness": politeness, "odd": lambda text: "odd"}
'''


@pytest.fixture(autouse=True)
def _none_loaded(monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine" / "conf").mkdir(parents=True)
    (tmp_path / "mine" / "finecomb_plugin.py").write_text(CODE)
    lines = [f"please help with number {n},{n % 2}" if n % 3 else f"help with {n},{n % 2}" for n in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *lines]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepare(*words):
    return cli.main(
        ["prepare", "--config-dir", "mine", "dataset=files", "dataset.files.train=a.csv", "cleaner=basic", "--output", "out", *words]
    )


def test_a_step_and_a_function_of_ones_own_from_the_command_line(folder):
    polite = "cleaner.steps.polite={step: predicate, function: politeness, min_score: 0.5, max_score: null}"
    assert prepare(polite, "cleaner.steps.shout={marks: 2}") == 0
    told = json.loads((folder / "out" / "data.json").read_text())
    entries = {entry["name"]: entry for entry in told["steps"]}
    assert list(entries)[-3:] == ["polite", "shout", "split"]
    assert entries["polite"]["rows_in"] - entries["polite"]["rows_out"] == 20
    assert "politeness" in json.dumps(entries["polite"])
    texts = pyarrow.parquet.read_table(folder / "out" / "train.parquet").column("text").to_pylist()
    assert all(text.startswith("PLEASE HELP WITH NUMBER ") and text.endswith("!!") for text in texts)


def test_its_keys_and_bounds_are_checked_like_those_of_others(folder, capsys):
    assert prepare("cleaner.steps.shout={mark: 2}") == 2
    assert "marks" in capsys.readouterr().err
    assert prepare("cleaner.steps.shout={marks: 0}") == 2
    assert "is below 1" in capsys.readouterr().err
    assert prepare("cleaner.steps.shoot={marks: 1}") == 2
    assert "did you mean shout?" in capsys.readouterr().err


def test_a_changed_file_is_another_step(folder):
    plugins.load([folder / "mine"])
    recipe = schema.Cleaner(
        "own", {"shout": {"marks": 1}, "p": {"step": "predicate", "function": "politeness", "min_score": 1, "max_score": None}}, False
    )
    before = cleaner.build(recipe).identity
    plugins._loaded.clear()
    (folder / "mine" / "finecomb_plugin.py").write_text(CODE.replace("/ 2", "/ 3"))
    plugins.load([folder / "mine"])
    after = cleaner.build(recipe).identity
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True]


def test_a_function_that_returns_no_number_or_is_not_there_is_told(folder):
    plugins.load([folder / "mine"])

    def judged(name):
        values = {"step": "predicate", "function": name, "min_score": 1, "max_score": None}
        step = cleaner.build(schema.Cleaner("own", {"p": values}, False)).steps[0][1]()
        return step.decide(Batch("train", ["7"], ["please, please"], None, [None]))

    assert judged("politeness").scores == {"politeness": [1.0]}
    with pytest.raises(ConfigError, match="returned 'odd' for the row 7"):
        judged("odd")
    with pytest.raises(ConfigError, match="no plug-in offers a function politenes") as caught:
        judged("politenes")
    assert caught.value.problems[0].hint == "did you mean politeness?"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("CLEANING_STEPS = {'shout': 3}", "is not (schema, class)"),
        (f"{CODE}\nCLEANING_STEPS = {{'html': (ShoutSchema, Shout)}}", "there is such a step already"),
        ("PREDICATES = {'x': 3}", "is no function"),
    ],
)  # fmt: skip
def test_a_plugin_that_offers_nonsense_is_told(tmp_path, code, said):
    (tmp_path / "finecomb_plugin.py").write_text(code)
    with pytest.raises(ConfigError) as caught:
        plugins.load([tmp_path])
    assert said in caught.value.problems[0].what


def by_hand(reference: str, text: str, order: int) -> float:
    """Perplexity by the formula, character by character."""
    grams: dict[str, dict[str, int]] = {}
    for place, char in enumerate(reference):
        for length in range(order):
            if length <= place:
                of = grams.setdefault(reference[place - length : place], {})
                of[char] = of.get(char, 0) + 1
    logs = []
    for place, char in enumerate(text):
        chance = 1 / (len(set(reference)) + 1)
        for length in range(order):
            of = grams.get(text[place - length : place], {}) if length <= place else {}
            if of:
                chance = (of.get(char, 0) + len(of) * chance) / (sum(of.values()) + len(of))
        logs.append(np.log(chance))
    return float(np.exp(-np.mean(logs)))


@pytest.mark.parametrize("order", [1, 2, 4])
def test_perplexity_is_that_of_the_formula(monkeypatch, order):
    reference = "the boats cross the river with the goods of the town 这部电影 " * 3 + "and so on"
    model = CharacterModel(reference, order)
    for text in ("the river of boats", "zzz qqq", "这部电影很好", "t"):
        # At the very beginning a text has no characters before it; contexts reach back no further.
        assert model.perplexity(text) == pytest.approx(by_hand(reference, text, order), rel=1e-9)
    whole = model.perplexity("the river of boats and goods")
    monkeypatch.setattr("finecomb.data.cleaner.steps.perplexity._AT_ONCE", 5)
    assert model.perplexity("the river of boats and goods") == pytest.approx(whole, rel=1e-9)


def test_texts_unlike_the_reference_go_and_the_score_is_kept(tmp_path):
    file = tmp_path / "like.txt"
    file.write_text("The river is wide here and the boats that cross it carry people to the market with their goods. " * 30)
    config = PerplexityOptions(str(file), 4, 1.01, 8.0)
    texts = ["the people carry goods to the river", "xq zzk 9##7 jjw vvq", ""]
    decision = Perplexity(config).decide(Batch("train", ["0", "1", "2"], texts, None, [None] * 3))
    assert decision.drop == {1: "perplexity too high", 2: "perplexity too low"}
    assert decision.scores["perplexity"][0] < 8 < decision.scores["perplexity"][1]
    with pytest.raises(ConfigError, match="cannot be read"):
        Perplexity.inputs(PerplexityOptions(str(tmp_path / "no.txt"), 4, None, None))
