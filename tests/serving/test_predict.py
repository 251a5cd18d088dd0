"""A finished run answers new texts as it answered those of its test split."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from finecomb.config.compose import compose
from finecomb.core.errors import ConfigError
from finecomb.data.prepare import open_prepared
from finecomb.launch.freeze import freeze
from finecomb.serving import Predictor
from finecomb.serving.predict import predict_command
from finecomb.training import worker

METHODS = ("full", "head", "top_layers", "bitfit", "lora", "prompt")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a cache of its own, and training files whose texts need cleaning."""
    folder = tmp_path_factory.mktemp("predict")
    words = ["fine", "dull", "café", "plot", "cast", "long", "short", "again"]
    draw = np.random.default_rng(0)
    texts = ["  ".join(draw.choice(words, draw.integers(2, 30))) + f" {row}" for row in range(90)]
    rows = [{"sentence": text, "other": text[::-1], "score": len(text) / 40, "label": ["no", "yes"]["fine" in text]} for text in texts]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECOMB_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def trained(place):
    """Trains a tiny run in this process, once for the same overrides."""
    made = {}

    def train(*overrides, model="tiny"):
        if overrides not in made:
            job = compose(
                ["dataset=files", "dataset.files.train=train.jsonl", "dataset.columns.text=sentence", f"model={model}", "logger=none",
                 "trainer.max_epochs=1", "batch.size=16", "batch.max_length=24", "trainer.threads=1", "trainer.precision=32-true",
                 *overrides]
            )  # fmt: skip
            run = freeze(job).run
            assert worker.attempt(run, True, time.monotonic()) == 0, run.status().error
            made[overrides] = run
        return made[overrides]

    return train


def recorded(run):
    data = open_prepared(Path(run.record.inputs.data.directory)).load()["test"]
    columns = parquet.read_table(run.predictions / "test.parquet").to_pydict()
    assert columns["id"] == list(data["id"])
    return data, columns


def problem(error):
    return " ".join(" ".join([each.what, each.where, each.allowed, each.hint]) for each in error.value.problems)


@pytest.mark.parametrize("tuning", METHODS)
def test_texts_of_the_test_split_get_the_recorded_predictions(trained, tuning):
    run = trained(f"tuning={tuning}")
    data, columns = recorded(run)
    predictor = Predictor(run)
    answers = predictor(list(data["text"]))
    assert [answer["label"] for answer in answers] == columns["prediction"]
    np.testing.assert_allclose(predictor.logits(list(data["text"])).numpy(), columns["logits"], atol=1e-5)
    assert [list(answer["probabilities"].values()) for answer in answers] == [
        pytest.approx(row, abs=1e-5) for row in columns["probabilities"]
    ]


def test_regression_gives_values_and_pairs_take_two_texts(trained):
    run = trained("task=regression", "loss=mse", "dataset.columns.label=score", "dataset.columns.text_pair=other")
    data, columns = recorded(run)
    predictor = Predictor(run)
    answers = predictor(list(data["text"]), list(data["text_pair"]))
    assert [answer["value"] for answer in answers] == pytest.approx(columns["value"], abs=1e-5)
    with pytest.raises(ConfigError) as error:
        predictor(["single"])
    assert "pairs of texts" in problem(error)
    with pytest.raises(ConfigError):
        predictor(["a", "b"], ["c"])


def test_texts_are_rewritten_as_in_training_and_never_dropped(trained):
    predictor = Predictor(trained("tuning=full"))
    cleaned, raw, empty, again = predictor(["café fine plot", "  cafe\u0301  fine\n plot ", "", "café fine plot"])
    # Not bit for bit: where a text stands in its batch may move the last digits.
    assert raw["probabilities"] == pytest.approx(cleaned["probabilities"], abs=1e-6) == again["probabilities"]
    assert raw["text"] == "  cafe\u0301  fine\n plot "
    assert empty["label"] in ("no", "yes")


def test_an_answer_depends_neither_on_its_neighbours_nor_on_the_order(trained):
    predictor = Predictor(trained("tuning=full"))
    texts = [" ".join(["fine"] * length) for length in (1, 20, 3, 11, 2)]
    together = [answer["probabilities"]["yes"] for answer in predictor(texts)]
    alone = [predictor([text])[0]["probabilities"]["yes"] for text in texts]
    backwards = [answer["probabilities"]["yes"] for answer in predictor(texts[::-1])][::-1]
    assert together == pytest.approx(alone, abs=1e-6)
    assert together == pytest.approx(backwards, abs=1e-6)
    assert predictor([]) == []


def test_the_command_prints_json_lines_and_tells_truncation_on_standard_error(trained, capsys):
    run = trained("tuning=full")
    predict_command(str(run.path), ["a fine plot", "dull " * 100])
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert first["text"] == "a fine plot"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert first["truncated"] == 0
    assert second["truncated"] > 0
    assert f"1 of 2 texts are longer than batch.max_length=24; {second['truncated']} tokens were cut off" in err


def test_files_standard_input_and_tsv(trained, place, capsys, monkeypatch):
    run = trained("tuning=full")
    (place / "a.csv").write_text('id,sentence\n1,"fine, plot"\n2,dull\n')
    (place / "a.jsonl").write_text('{"review": "fine, plot"}\n{"review": "dull"}\n')
    (place / "a.txt").write_text("fine, plot\n\ndull\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("fine, plot\ndull\n"))
    seen = []
    for arguments in ({"file": "a.csv"}, {"file": "a.jsonl", "text_column": "review"}, {"file": "a.txt"}, {"file": "-"}):
        predict_command(str(run.path), **arguments)
        seen.append(capsys.readouterr().out)
    assert len(set(seen)) == 1
    assert len(seen[0].splitlines()) == 2
    predict_command(run.fingerprint[:8], ["fine\tplot"], output="tsv")
    header, row = capsys.readouterr().out.splitlines()
    assert header.split("\t") == ["text", "label", "truncated", "probability_no", "probability_yes"]
    assert row.startswith('"fine\tplot"\t')


def test_pairs_come_from_the_command_line_columns_or_tabbed_lines(trained, place, capsys, monkeypatch):
    run = trained("task=regression", "loss=mse", "dataset.columns.label=score", "dataset.columns.text_pair=other")
    (place / "pairs.tsv").write_text("sentence\tother\nfine\tdull\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("fine\tdull\n"))
    predict_command(str(run.path), ["fine"], pairs=["dull"])
    predict_command(str(run.path), file="pairs.tsv")
    predict_command(str(run.path), file="-")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("fine\tdull\nfine\n"))
    with pytest.raises(ConfigError) as error:
        predict_command(str(run.path), file="-")
    assert "standard input, line 2" in problem(error)


def test_what_is_wrong_is_told_with_the_way_out(trained, place):
    run = trained("tuning=full")
    (place / "b.csv").write_text("sentense,n\nfine,1\n")
    for arguments, words in [
        ({"run": run.path.name[:-2] + "zz", "texts": ["x"]}, run.path.name),
        ({"run": str(run.path), "file": "b.csv"}, "sentense"),
        ({"run": str(run.path), "file": "nothing.csv"}, "no such file"),
        ({"run": str(run.path), "texts": ["x"], "pairs": ["y"]}, "judges single texts"),
        ({"run": str(run.path), "texts": ["x"], "output": "xml"}, "jsonl"),
        ({"run": str(run.path), "texts": ["x"], "file": "b.csv"}, "give one of them"),
        ({"run": str(run.path), "texts": ["x", "\udcff"]}, "text 2"),
        ({"run": str(run.path), "texts": ["x"], "device": "banana"}, "cpu"),
    ]:
        with pytest.raises(ConfigError) as error:
            predict_command(**arguments)
        assert words in problem(error)


def test_a_run_that_has_not_finished_is_told_without_importing_torch(place, trained):
    job = compose(
        ["dataset=files", "dataset.files.train=train.jsonl", "dataset.columns.text=sentence", "model=tiny", "logger=none", "seed=7"]
    )
    run = freeze(job).run
    code = f"""
import sys
from finecomb.core.errors import ConfigError
from finecomb.serving.predict import predict_command
try:
    predict_command({str(run.path)!r}, ["text"])
except ConfigError as error:
    assert "is created" in str(error)
    assert "torch" not in sys.modules
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
