"""study.json: written as before, read back, also where an earlier version wrote it."""

import json
from pathlib import Path

import pytest
from synthetic import frames

from finecomb.core.errors import ConfigError
from finecomb.studies.analysis import facts

COMMITTED = sorted((Path(__file__).parents[3] / "experiments").glob("*/results/study.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parents[1].name)
def test_a_committed_file_is_read_and_written_again_with_the_same_values_in_the_same_order(path, tmp_path):
    facts.write(tmp_path / "study.json", facts.read(path))
    before, after = (json.loads(each.read_text()) for each in (path, tmp_path / "study.json"))
    assert before.pop("version") <= after.pop("version") == facts.VERSION
    assert json.dumps(after) == json.dumps(before)


def test_what_was_written_is_read_back(tmp_path):
    given = frames(columns=("a", "b"), references=[{"name": "majority", "kind": "fitted"}]).facts
    facts.write(tmp_path / "study.json", given)
    assert facts.read(tmp_path / "study.json") == given
    assert not given.is_comparison


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(ConfigError, match=r"study\.json"):
        facts.read(tmp_path / "study.json")
