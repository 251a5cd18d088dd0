from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finecomb.config.schema.model import FAMILIES, Model
from finecomb.core.errors import ConfigError
from finecomb.learning.model import inspect


def choice(path: Path | str) -> Model:
    return Model(
        name="mine", name_or_path=str(path), source=[], sha256=None, model_type="bert", hub_id=None, note="", dropout=None,
        attention="auto", gradient_checkpointing=False,
    )  # fmt: skip


def directory(path: Path, model_type: str = "gpt2", weights: str = "model.safetensors") -> Path:
    (path / "config.json").write_text(json.dumps({"model_type": model_type}))
    (path / weights).write_bytes(b"x")
    (path / "tokenizer.json").write_text("{}")
    return path


def test_inspecting_a_model_imports_no_torch() -> None:
    code = "import sys; from finecomb.learning.model import inspect; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_architecture_is_read_from_the_directory_whatever_the_choice_says(tmp_path: Path) -> None:
    assert inspect(choice(directory(tmp_path))).model_type == "gpt2"


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for path in (first, second, third):
        path.mkdir()
        directory(path)
    (third / "model.safetensors").write_bytes(b"y")
    hashes = [inspect(choice(path)).sha256 for path in (first, second, third)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_unknown_architecture_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        inspect(choice(directory(tmp_path, "mamba")))
    assert "mamba" in caught.value.problems[0].what
    assert all(model_type in caught.value.problems[0].allowed for model_type in FAMILIES)


def test_weights_without_a_tokenizer_are_told(tmp_path: Path) -> None:
    (directory(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="no tokenizer"):
        inspect(choice(tmp_path))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"only pickled weights are there \(pytorch_model\.bin\)"):
        inspect(choice(directory(tmp_path, weights="pytorch_model.bin")))


@pytest.mark.parametrize("path", ["nowhere", "./no/where", "/no/such/place"])
def test_a_path_that_is_neither_a_directory_nor_a_hub_id_is_told(path: str) -> None:
    with pytest.raises(ConfigError, match="no such directory"):
        inspect(choice(path))


def test_a_file_is_told_apart_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"model\.safetensors is a file"):
        inspect(choice(tmp_path / "model.safetensors"))


def test_a_directory_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        inspect(choice(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        inspect(choice(tmp_path))


@pytest.mark.parametrize("field", ["layers", "hidden", "heads", "init_seed"])
def test_a_tiny_model_is_told_apart_by_what_shapes_it(make: Any, field: str) -> None:
    tiny = make.choice("bert")
    other = dataclasses.replace(tiny, **{field: getattr(tiny, field) * 2 or 1})
    assert inspect(tiny).sha256 != inspect(other).sha256
    assert inspect(dataclasses.replace(tiny, dropout=0.1)).sha256 == inspect(tiny).sha256


def test_a_hidden_size_that_the_heads_do_not_divide_is_told(make: Any) -> None:
    with pytest.raises(ConfigError, match="hidden size 30 over 4 heads"):
        inspect(make.choice("bert", hidden=30, heads=4))
