"""Editors are told the truth: the written schemas are those of the dataclasses, and every shipped file fits its own."""

import json

import jsonschema
import pytest
from omegaconf import OmegaConf

from finecomb.config.json_schema import modeline, schema_name, schemas, write
from finecomb.config.locate import conf_dir

FOLDER = conf_dir().parent / "schemas"
FILES = sorted(conf_dir().rglob("*.yaml"))


def test_the_committed_schemas_are_current(tmp_path):
    written = {path.name: path.read_text() for path in write(tmp_path)}
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == written, "run python -m finecomb.config.json_schema"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_file_fits_the_schema_it_names(path):
    assert modeline(path) in path.read_text().splitlines()[:2]
    plain = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    jsonschema.validate(plain, json.loads((FOLDER / schema_name(path)).read_text()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tuning.lora.json", {"rank": 3}),
        ("tuning.lora.json", {"r": 0}),
        ("tuning.lora.json", {"r": "many"}),
        ("tuning.lora.json", {"frozen_mode": "sleep"}),
        ("optimizer.adamw.json", {"lr": "fast"}),
        ("dataset.files.json", {"columns": {"txt": "a"}}),
        ("cleaner.basic.json", {"steps": {"unicode": {"from": "NFC"}}}),
        ("bundle.json", {"optimizer": {"learning_rate": 1}}),
        ("bundle.json", {"trainr": {}}),
    ],
)
def test_a_schema_refuses_what_composition_refuses(name, content):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schemas()[name])


def test_values_that_only_hydra_can_fill_are_let_through():
    jsonschema.validate({"optimizer": {"lr": "${seed}"}, "batch": {"size": "???"}}, schemas()["bundle.json"])
