"""`finecomb.compose`, and configs that were changed after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

import finecomb
from finecomb import Config
from finecomb.config.compose import Composition
from finecomb.config.fingerprint import difference_name
from finecomb.config.plain import from_plain, to_plain

FILES = ["dataset=files", "dataset.files.train=reviews.csv"]


def test_a_mapping_composes_what_strings_do() -> None:
    words = finecomb.compose("tuning=lora", "tuning.target_modules=[query,value]", "name='two words, quoted'", "optimizer.lr=1e-3")
    values = {"tuning": "lora", "tuning.target_modules": ["query", "value"], "name": "two words, quoted", "optimizer.lr": 1e-3}
    assert finecomb.compose(values) == words
    assert words.name == "two words, quoted"


def test_every_problem_is_raised_at_once() -> None:
    with pytest.raises(finecomb.ConfigError) as raised:
        finecomb.compose("tuning=lorra", "batch.sise=3", "seed=x")
    assert len(raised.value.problems) == 3
    assert "did you mean tuning=lora?" in "".join(raised.value.__notes__)


def test_problems_between_fields_are_raised_too() -> None:
    with pytest.raises(finecomb.ConfigError, match="loss=huber cannot serve"):
        finecomb.compose("loss=huber")


def test_what_is_neither_a_string_nor_a_mapping_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="an override is a string"):
        finecomb.compose(["seed=1"])  # type: ignore[arg-type]


def test_composing_works_where_hydra_is_initialized_already(tmp_path: Path) -> None:
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert finecomb.compose("tuning=lora", "seed=3").seed == 3
        assert GlobalHydra.instance().is_initialized()
        assert hydra.compose("mine").a == 1


def test_choices_of_a_folder_of_ones_own_are_found(tmp_path: Path) -> None:
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "tiny_lora.yaml").write_text("# one\ndefaults:\n  - lora\n  - _self_\nr: 1\n")
    assert finecomb.compose("tuning=tiny_lora", config_dirs=[tmp_path]).tuning.r == 1


CHANGES: dict[str, tuple[list[str], Callable[[Config], Config], list[str]]] = {
    "a value": ([], lambda c: dataclasses.replace(c, seed=4), ["seed=4"]),
    "a value of a group": (
        ["tuning=lora"],
        lambda c: dataclasses.replace(c, tuning=dataclasses.replace(c.tuning, r=2)),
        ["tuning=lora", "tuning.r=2"],
    ),
    "a group": (["seed=2"], lambda c: dataclasses.replace(c, tuning=finecomb.compose("tuning=lora").tuning), ["tuning=lora", "seed=2"]),
    "in place, in an experiment": (["experiment=main_job"], lambda c: setattr(c, "seed", 5) or c, ["experiment=main_job", "seed=5"]),
    "without a step": (
        ["cleaner=classification"],
        lambda c: dataclasses.replace(c, cleaner=dataclasses.replace(c.cleaner, steps=dict(list(c.cleaner.steps.items())[1:]))),
        ["cleaner=classification", "~cleaner.steps.FIRST"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_config_has_the_overrides_and_the_name_of_one_composed_so(change: str) -> None:
    words, changed, expected = CHANGES[change]
    config = changed(finecomb.compose(*words))
    first = next(iter(finecomb.compose("cleaner=classification").cleaner.steps))
    expected = [word.replace("FIRST", first) for word in expected]
    made = Composition.of(config)
    assert made.overrides == expected
    composed = finecomb.compose(*made.overrides)
    assert composed == config
    assert difference_name(config, made.choices) == difference_name(composed, composed.derivation.choices)


def test_a_config_without_a_derivation_is_written_as_overrides() -> None:
    config = from_plain(to_plain(finecomb.compose("tuning=lora", "seed=3", *FILES)))
    assert config.derivation.choices == {}
    made = Composition.of(config)
    assert made.overrides == ["dataset=files", "tuning=lora", "seed=3", "dataset.files.train=reviews.csv"]
    assert made.choices["model"] == "all_minilm_l6_v2"


def test_where_a_value_comes_from_is_forgotten_with_the_value() -> None:
    config = finecomb.compose("seed=3", "batch.size=8")
    origins = Composition.of(dataclasses.replace(config, seed=4)).origins
    assert "seed" not in origins
    assert str(origins["batch.size"]) == "command line: batch.size=8"


@pytest.mark.parametrize("use", [finecomb.train, finecomb.prepare])
def test_a_changed_config_is_checked_again_where_it_is_used(use: Callable[[Config], object], shared: Path) -> None:
    config = finecomb.compose(*FILES, "output_dir=nowhere")
    wrong = dataclasses.replace(config, seed=-1, batch=dataclasses.replace(config.batch, size="many"), task=3)
    with pytest.raises(finecomb.ConfigError) as raised:
        use(wrong)
    told = " ".join(problem.what for problem in raised.value.problems)
    assert "seed=-1 is below 0" in told
    assert "batch.size=many is not a whole number" in told
    assert "task holds a int" in told
    with pytest.raises(finecomb.ConfigError, match="task=regression"):
        use(dataclasses.replace(config, task=finecomb.compose("dataset=stsb", "task=regression", "loss=mse").task))
    assert not (shared / "nowhere").exists()


def test_rows_without_labels_compose_and_are_refused_where_they_would_be_trained_on() -> None:
    config = finecomb.compose(*FILES, "dataset.columns.label=null", "dataset.label_kind=none")
    assert finecomb.prepare(config).label_names is None
    with pytest.raises(finecomb.ConfigError, match="no labels to train on"):
        finecomb.train(config)
