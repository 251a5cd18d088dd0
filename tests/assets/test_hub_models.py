"""hub: sources: safetensors only, and a missing network with its ways out. The hub itself is not asked."""

import huggingface_hub
import pytest

from finecomb.assets import fetch, hash_directory
from finecomb.core.errors import ConfigError


def test_weights_come_without_pickles(cache, tmp_path, monkeypatch):
    asked = {}

    def snapshot(name, **options):
        asked.update(options, name=name)
        (tmp_path / "model.safetensors").write_bytes(b"x")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    local = fetch(["hub:owner/name@abc"], sha256=None)
    assert (local.path, local.sha256) == (tmp_path, hash_directory(tmp_path))
    assert (asked["name"], asked["revision"]) == ("owner/name", "abc")
    assert not any(pattern.endswith((".bin", ".py")) for pattern in asked["allow_patterns"])


def test_pickled_weights_alone_are_refused(cache, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(tmp_path))
    with pytest.raises(ConfigError, match="holds no safetensors weights"):
        fetch(["hub:owner/name"], sha256=None)


def test_without_network_the_ways_out_are_named(cache, monkeypatch):
    def unreachable(name, **_):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ConfigError, match="cannot fetch owner/name from the hub") as caught:
        fetch(["hub:owner/name"], sha256=None)
    assert all(way in caught.value.problems[0].hint for way in ("model.name_or_path=", "dataset.path=", "HF_HUB_OFFLINE=1"))
