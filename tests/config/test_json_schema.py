"""Editors report what composition reports: the committed schemas are those of the dataclasses, and every shipped file fits its own."""

import json

import jsonschema
import pytest
from omegaconf import OmegaConf
from referencing import Registry, Resource

from finecomb.config import plugins, sources
from finecomb.config.fields import fields_of
from finecomb.config.json_schema import modeline, schema_name, schemas, text, write
from finecomb.config.locate import conf_dir
from finecomb.config.schema.train import GROUPS

FOLDER = conf_dir().parent / "schemas"
FILES = sorted(conf_dir().rglob("*.yaml"))


@pytest.fixture(scope="module")
def validate():
    """Check a file's content against a schema, which may refer to its neighbors, as an editor does."""
    found = schemas()
    registry = Registry().with_resources([(name, Resource.from_contents(schema)) for name, schema in found.items()])

    def check(content, name):
        jsonschema.Draft7Validator(found[name], registry=registry).validate(content)

    return check


def test_the_committed_schemas_are_current(tmp_path):
    written = {path.name: path.read_text() for path in write(tmp_path)}
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == written, "run python -m finecomb.config.json_schema"


def test_there_is_one_schema_for_a_group_and_all_are_short():
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted([*GROUPS, "train"])
    lines = [line for path in FOLDER.iterdir() for line in path.read_text().splitlines()]
    assert len(lines) <= 6000
    assert max(map(len, lines)) <= 200


def test_compact_text_is_the_same_json():
    for schema in schemas().values():
        assert json.loads(text(schema)) == schema


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_file_fits_the_schema_it_names(path, validate):
    assert modeline(path) in path.read_text().splitlines()[:2]
    validate(OmegaConf.to_container(OmegaConf.load(path), resolve=False), schema_name(path))


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in sources.options(group)])
def test_a_choice_has_the_keys_of_its_schema_and_no_others(group, name, validate):
    own = set(fields_of(sources.schema_of(group, sources.options(group)[name])))
    others = {key for cls in plugins.schemas(group).values() for key in fields_of(cls)}
    for key in sorted({*others, "no_such_key"} - own):
        with pytest.raises(jsonschema.ValidationError, match="Additional properties are not allowed"):
            validate({"name": name, key: None}, f"{group}.json")


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("tuning.json", {"name": "lora", "rank": 3}, "'rank' was unexpected"),
        ("tuning.json", {"name": "full", "r": 8}, "'r' was unexpected"),
        ("tuning.json", {"name": "lora", "r": 0}, "0 is not valid"),
        ("tuning.json", {"name": "lora", "r": "many"}, "'many' is not valid"),
        ("tuning.json", {"name": "lora", "frozen_mode": "sleep"}, "'sleep' is not one of"),
        ("tuning.json", {"name": "my_lora", "defaults": ["/schema/tuning/lora@_here_"], "k": 2}, "'k' was unexpected"),
        ("tuning.json", {"name": "my_lora", "defaults": ["lora", "_self_"], "k": 2}, "'k' was unexpected"),
        ("tuning.json", {"r": 8, "k": 2}, "not valid under any"),
        ("optimizer.json", {"name": "adamw", "lr": "fast"}, "'fast' is not valid"),
        ("optimizer.json", {"name": "sgd", "betas": [0.9, 0.999]}, "'betas' was unexpected"),
        ("dataset.json", {"name": "files", "columns": {"txt": "a"}}, "'txt' was unexpected"),
        ("dataset.json", {"name": "sst2", "first": 0}, "0 is not valid"),
        ("dataset.json", {"name": "sst2", "format": "csv"}, "'format' was unexpected"),
        ("dataset.json", {"name": "mine", "defaults": ["/schema/dataset/hub@_here_"], "format": "csv"}, "'format' was unexpected"),
        ("cleaner.json", {"name": "basic", "steps": {"unicode": {"from": "NFC"}}}, "'from' was unexpected"),
        ("cleaner.json", {"name": "basic", "steps": {"short": {"step": "length", "form": "NFC"}}}, "'form' was unexpected"),
        ("cleaner.json", {"name": "basic", "steps": {"short": {"step": "lenght"}}}, "'lenght' is not one of"),
        ("cleaner.json", {"steps": {"short": {"min_words": 3, "form": "NFC"}}}, "not valid under any"),
        ("augmenter.json", {"name": "eda", "operations": {"swap": {"rate": -1}}}, "-1 is not valid"),
        ("train.json", {"optimizer": {"learning_rate": 1}}, "not valid under any"),
        ("train.json", {"trainr": {}}, "'trainr' was unexpected"),
        ("train.json", {"batch": {"size": 0}}, "0 is not valid"),
    ],
)
def test_a_schema_reports_a_wrong_key_type_and_bound(name, content, wrong, validate):
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        validate(content, name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.json", {"optimizer": {"lr": "${seed}"}, "batch": {"size": "???"}}),
        ("train.json", {"cleaner": {"steps": {"length": None, "short": {"step": "length", "min_words": 3}}}}),
        ("cleaner.json", {"name": "web", "steps": {"twice": {"step": "unicode", "form": "NFKC"}, "html": {}}}),
        ("dataset.json", {"name": "mine", "defaults": ["/schema/dataset/hub@_here_", "_self_"], "hub_id": "owner/name"}),
        ("tuning.json", {"name": "mine", "r": 4, "frozen_mode": "train"}),
    ],
)
def test_what_composition_takes_is_let_through(name, content, validate):
    validate(content, name)
